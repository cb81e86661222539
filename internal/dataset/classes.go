package dataset

import (
	"bufio"
	"slices"
	"strconv"
	"strings"

	"coar/internal/fault"
)

// maxOutput bounds the outputs that a classes file can name.
const maxOutput = 1 << 20

// classMap says which of the model's outputs each class name means.
type classMap struct {
	outputs map[string]int
	names   []string // by output, "" where none has that output
	file    string
}

// readClasses reads a classes file, in one of two forms:
//
//   - one class name a line; the first line is output 0, the next output 1, and so on;
//   - on every line a class name, a tab or blanks, and the number of its output. Several names may mean one output,
//     which is then called by the first of them.
//
// Blank lines are skipped. For a folder of pictures the names are those of the class folders.
func readClasses(path string) (classMap, error) {
	lines, err := readLines(path)
	if err != nil {
		return classMap{}, err
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.TrimSpace(line) == "" })
	if len(lines) == 0 {
		return classMap{}, fault.InFile(path, "there are no class names in it")
	}
	numbered := !slices.ContainsFunc(lines, func(line string) bool {
		_, _, ok := nameAndOutput(line)
		return !ok
	})
	m := classMap{outputs: make(map[string]int, len(lines)), file: path}
	for i, line := range lines {
		name, output := strings.TrimSpace(line), i
		if numbered {
			name, output, _ = nameAndOutput(line)
		}
		if _, twice := m.outputs[name]; twice {
			return classMap{}, fault.InFile(path, "class %q is listed twice", name)
		}
		if output > maxOutput {
			return classMap{}, fault.InFile(path, "class %q has output %d; the largest possible is %d", name, output, maxOutput)
		}
		m.outputs[name] = output
		for len(m.names) <= output {
			m.names = append(m.names, "")
		}
		if m.names[output] == "" {
			m.names[output] = name
		}
	}
	return m, nil
}

// nameAndOutput splits "name 12" at the last tab or blank.
func nameAndOutput(line string) (name string, output int, ok bool) {
	line = strings.TrimSpace(line)
	at := strings.LastIndexAny(line, " \t")
	if at < 0 {
		return "", 0, false
	}
	number, err := strconv.ParseUint(line[at+1:], 10, 31)
	if err != nil {
		return "", 0, false
	}
	return strings.TrimSpace(line[:at]), int(number), true
}

// classes are what the options say of class names; nil where that is nothing.
func (o Options) classes() (*classMap, error) {
	switch {
	case o.ClassesFile != "":
		m, err := readClasses(o.ClassesFile)
		return &m, err
	case o.ClassNames != nil:
		m := &classMap{outputs: make(map[string]int, len(o.ClassNames)), names: o.ClassNames, file: "those that are known"}
		for output, name := range o.ClassNames {
			if name != "" {
				m.outputs[name] = output
			}
		}
		return m, nil
	}
	return nil, nil
}

// classNames are the names by output that the options give, nil where they give none.
func (o Options) classNames() ([]string, error) {
	m, err := o.classes()
	if m == nil || err != nil {
		return nil, err
	}
	return m.names, nil
}

// maxTextBytes bounds the text files that are read whole.
const maxTextBytes = 16 << 20

// readLines reads a text file.
func readLines(path string) ([]string, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxTextBytes {
		return nil, fault.InFile(path, "a text file of %d bytes; at most %d are read", size, maxTextBytes)
	}
	var lines []string
	in := bufio.NewScanner(f)
	for in.Scan() {
		lines = append(lines, in.Text())
	}
	if err := in.Err(); err != nil {
		return nil, unreadable(path, err)
	}
	return lines, nil
}
