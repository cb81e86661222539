package report

import (
	"fmt"
	"image"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/recorder"
)

// surveyor is a canvas that remembers where things are drawn.
type surveyor struct {
	recorder.Canvas
	moves  []move // the current transformation, innermost last
	levels []int
	drawn  vg.Rectangle // around all paths and images
	bad    string       // a coordinate that is not a number
	texts  []placed
}

type move struct {
	by    vg.Point
	angle float64
}

type placed struct {
	line string
	box  vg.Rectangle
}

func (s *surveyor) Push()                { s.levels = append(s.levels, len(s.moves)) }
func (s *surveyor) Translate(p vg.Point) { s.moves = append(s.moves, move{by: p}) }
func (s *surveyor) Rotate(a float64)     { s.moves = append(s.moves, move{angle: a}) }
func (s *surveyor) Pop() {
	s.moves = s.moves[:s.levels[len(s.levels)-1]]
	s.levels = s.levels[:len(s.levels)-1]
}

// at maps a point of the current coordinates to the canvas.
func (s *surveyor) at(p vg.Point) vg.Point {
	for i := len(s.moves) - 1; i >= 0; i-- {
		sin, cos := math.Sincos(s.moves[i].angle)
		p = vg.Point{X: p.X*vg.Length(cos) - p.Y*vg.Length(sin), Y: p.X*vg.Length(sin) + p.Y*vg.Length(cos)}.Add(s.moves[i].by)
	}
	return p
}

func (s *surveyor) cover(p vg.Point) {
	p = s.at(p)
	if math.IsNaN(float64(p.X)) || math.IsNaN(float64(p.Y)) {
		s.bad = fmt.Sprint(p)
	}
	s.drawn.Min.X, s.drawn.Min.Y = min(s.drawn.Min.X, p.X), min(s.drawn.Min.Y, p.Y)
	s.drawn.Max.X, s.drawn.Max.Y = max(s.drawn.Max.X, p.X), max(s.drawn.Max.Y, p.Y)
}

func (s *surveyor) Stroke(path vg.Path) { s.Fill(path) }
func (s *surveyor) Fill(path vg.Path) {
	for _, c := range path {
		if c.Type != vg.CloseComp {
			s.cover(c.Pos.Sub(point(c.Radius, c.Radius)))
			s.cover(c.Pos.Add(point(c.Radius, c.Radius)))
		}
	}
}

func (s *surveyor) DrawImage(r vg.Rectangle, _ image.Image) {
	s.cover(r.Min)
	s.cover(r.Max)
}

func (s *surveyor) FillString(face font.Face, at vg.Point, line string) {
	size := face.Font.Size
	a, b := s.at(at.Sub(point(0, 0.1*size))), s.at(at.Add(point(face.Width(line), 0.72*size)))
	s.texts = append(s.texts, placed{line, box(min(a.X, b.X), min(a.Y, b.Y), max(a.X, b.X), max(a.Y, b.Y))})
}

func survey(f Figure) *surveyor {
	s := &surveyor{}
	f.paint(&pen{Canvas: draw.NewCanvas(s, f.Width, f.Height), fonts: font.NewCache(liberation.Collection())})
	return s
}

func TestEverythingIsDrawnInsideTheCanvas(t *testing.T) {
	for name, f := range figures() {
		t.Run(name, func(t *testing.T) {
			s := survey(f)
			if s.bad != "" {
				t.Errorf("a coordinate is not a number: %s", s.bad)
			}
			if !within(s.drawn, f) {
				t.Errorf("paths cover %v, beyond the canvas of %v x %v", s.drawn, f.Width, f.Height)
			}
			if len(s.texts) == 0 {
				t.Error("a figure without any text")
			}
			for _, text := range s.texts {
				if !within(text.box, f) {
					t.Errorf("%q at %v lies beyond the canvas of %v x %v", text.line, text.box, f.Width, f.Height)
				}
			}
		})
	}
}

func within(r vg.Rectangle, f Figure) bool {
	return r.Min.X >= 0 && r.Min.Y >= 0 && r.Max.X <= f.Width && r.Max.Y <= f.Height
}

func TestTextsDoNotOverlap(t *testing.T) {
	for name, f := range figures() {
		t.Run(name, func(t *testing.T) {
			texts := survey(f).texts
			for i, a := range texts {
				for _, b := range texts[:i] {
					if a.box.Min.X < b.box.Max.X && b.box.Min.X < a.box.Max.X && a.box.Min.Y < b.box.Max.Y && b.box.Min.Y < a.box.Max.Y {
						t.Errorf("%q at %v overlaps %q at %v", a.line, a.box, b.line, b.box)
					}
				}
			}
		})
	}
}

// The scatter's panels must show every finite point, and only those.
func TestScatterDrawsEveryFinitePoint(t *testing.T) {
	panel := ScatterPanel{Predicted: []float64{1, 2, math.NaN(), 4}, Measured: []float64{1, math.Inf(1), 3, 4}}
	dots := 0
	s := &dotCounter{dots: &dots}
	f := Scatter{Panels: []ScatterPanel{panel}}.Figure()
	f.paint(&pen{Canvas: draw.NewCanvas(s, f.Width, f.Height), fonts: font.NewCache(liberation.Collection())})
	if dots != 2 {
		t.Errorf("%d dots drawn, want 2", dots)
	}
}

// dotCounter counts the filled circles.
type dotCounter struct {
	recorder.Canvas
	dots *int
}

func (d *dotCounter) Fill(path vg.Path) {
	for _, c := range path {
		if c.Type == vg.ArcComp {
			*d.dots++
		}
	}
}

func TestTicksAreRoundAndWithinTheRange(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		n         int
		want      string
	}{
		{0, 1, 5, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{-0.5, 0.5, 2, "−0.5 0.0 0.5"},
		{-3, 11, 4, "0 5 10"},
		{0, 12, 8, "0 2 4 6 8 10 12"},
		{79.2, 81.3, 3, "80 81"},
		{1e-4, 3e-4, 3, "0.0001 0.0002 0.0003"},
	} {
		got := ""
		for _, tick := range ticks(c.low, c.high, c.n) {
			if tick.value < c.low-1e-9 || tick.value > c.high+1e-9 {
				t.Errorf("tick %v outside [%v, %v]", tick.value, c.low, c.high)
			}
			got += " " + tick.label
		}
		if got != " "+c.want {
			t.Errorf("ticks(%v, %v, %d) =%s, want %s", c.low, c.high, c.n, got, c.want)
		}
	}
}

func TestTextIsShortenedToItsRoom(t *testing.T) {
	p := &pen{fonts: font.NewCache(liberation.Collection())}
	long := "n02123045/ILSVRC2012_val_00004677.JPEG"
	for _, limit := range []vg.Length{20, 50, 100} {
		for _, short := range []string{p.fit(labelStyle, long, limit), p.cut(labelStyle, long, limit)} {
			if w := p.width(labelStyle, short); w > limit {
				t.Errorf("%q is %v wide, the room is %v", short, w, limit)
			}
		}
	}
	if got := p.fit(labelStyle, "17", 50); got != "17" {
		t.Errorf("a short text became %q", got)
	}
}

func TestCostsAreWrittenOut(t *testing.T) {
	_, list := CostCurve{Measured: []CostPoint{{Passes: 0.4}, {Passes: 2e4}}, Run: CostPoint{Passes: 70}}.across(box(0, 0, 100, 100))
	var labels []string
	for _, tick := range list {
		labels = append(labels, tick.label)
	}
	if got, want := strings.Join(labels, " "), "1 3 10 30 100 300 1000 3000 10000"; got != want {
		t.Errorf("ticks %s, want %s", got, want)
	}
}
