package regress

// lists holds, for every component, the positions of its set bits, ascending: the rows in its rarer state.
type lists struct {
	start []int   // [nComponents+1] into at
	split []int   // [nComponents] where the rows held out begin
	at    []int32 // positions, counted from the first word listed
	base  int     // where the rows held out begin, counted so
}

// heldLists lists the rows held out; positions count from the first of them.
func heldLists(d *design) *lists { return makeLists(d, d.trainWords) }

// allLists lists every row; positions are the design's.
func allLists(d *design) *lists { return makeLists(d, 0) }

func makeLists(d *design, first int) *lists {
	l := &lists{start: make([]int, d.nComponents+1), split: make([]int, d.nComponents), base: 64 * (d.trainWords - first)}
	total := 0
	for c := range d.nComponents {
		total += d.onesHeld[c]
		if first == 0 {
			total += d.onesTrain[c]
		}
	}
	l.at = make([]int32, 0, total)
	for c := range d.nComponents {
		l.start[c] = len(l.at)
		l.at = d.appendOnes(l.at, c, first, d.words)
		l.split[c] = len(l.at) - d.onesHeld[c]
	}
	l.start[d.nComponents] = len(l.at)
	return l
}

// of lists component c's rows in the part.
func (l *lists) of(p part, c int) []int32 {
	if p == trainRows {
		return l.at[l.start[c]:l.split[c]]
	}
	return l.at[l.start[c]:l.start[c+1]]
}

// held lists component c's rows among those held out; base is the first of them.
func (l *lists) held(c int) []int32 { return l.at[l.split[c]:l.start[c+1]] }

// listBytes is what lists of this many set bits hold.
func listBytes(nOnes int64, nComponents int) int64 { return 4*nOnes + 16*int64(nComponents) }
