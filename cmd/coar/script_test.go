package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"coar/internal/demo"
	"coar/internal/npy"
)

// TestMain makes this test binary double as the program: run under the name coar, it is coar.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"coar": func() { os.Exit(execute(os.Args[1:])) }})
}

// TestScripts runs testdata/script/*.txtar. Each starts in a directory with the files of writeTiny and, under demo, the
// embedded networks and images. Beside testscript's own commands there are:
//
//	exit CODE coar ARGS...    coar ends with this exit code; unless it is 0, with one line on standard error
//	json PATH OP VALUE        the standard output is one JSON object, in which the value at PATH (names and indices
//	                          between dots, len for a list's length) compares with VALUE by OP: == != < <= > >=
//	npy FILE TYPE ROWS...     the array has this element type and shape
//	same A B                  two files, or all files below two directories, are equal
//	begins LONG SHORT         the first rows of one array are all the rows of another
//	announced EDIT MARGINS    the first of the margins is what this edit.json says the edit leads to
//	cut FILE SIZE             shortens a file to so many bytes
//	replace FILE OLD NEW      replaces the first OLD in a file, which has it
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("COAR_ISA", os.Getenv("COAR_ISA"))
			return errors.Join(writeTiny(env.WorkDir), demo.Extract(filepath.Join(env.WorkDir, "demo")))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exit":      cmdExit,
			"json":      cmdJSON,
			"npy":       cmdNPY,
			"same":      cmdSame,
			"begins":    cmdBegins,
			"announced": cmdAnnounced,
			"cut":       cmdCut,
			"replace":   cmdReplace,
		},
	})
}

// want stops the script where a command is used in another way.
func want(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

func cmdExit(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 2, "exit CODE coar ARGS...")
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			ts.Fatalf("%v", err)
		}
		code = failed.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	said := ts.ReadFile("stderr")
	if code != 0 && (!strings.HasPrefix(said, "coar: ") || strings.Count(said, "\n") != 1) {
		ts.Fatalf("want one line on standard error, not %q", said)
	}
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 3, "json PATH OP VALUE")
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var v any
	ts.Check(d.Decode(&v))
	if _, ok := v.(map[string]any); !ok {
		ts.Fatalf("the output is no JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		ts.Fatalf("there is more than one JSON value")
	}
	for _, step := range strings.Split(args[0], ".") {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[step]
			if !ok {
				ts.Fatalf("%s: no field %q", args[0], step)
			}
			v = next
		case []any:
			if step == "len" {
				v = float64(len(at))
				break
			}
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at) {
				ts.Fatalf("%s: no entry %q in a list of %d", args[0], step, len(at))
			}
			v = at[i]
		default:
			ts.Fatalf("%s: %q of %v", args[0], step, v)
		}
	}
	if !compares(v, args[1], args[2]) {
		ts.Fatalf("%s is %v, want %s %s", args[0], v, args[1], args[2])
	}
}

// compares says whether a JSON value and the text of another are in the relation op; only numbers have an order.
func compares(v any, op, text string) bool {
	have := fmt.Sprint(v)
	number, isNumber := v.(float64)
	bound, err := strconv.ParseFloat(text, 64)
	if isNumber && err == nil {
		switch op {
		case "==":
			return number == bound
		case "!=":
			return number != bound
		case "<":
			return number < bound
		case "<=":
			return number <= bound
		case ">":
			return number > bound
		case ">=":
			return number >= bound
		}
	}
	return op == "==" && have == text || op == "!=" && have != text
}

func cmdNPY(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 3, "npy FILE TYPE ROWS...")
	f, err := npy.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	have := []string{f.Header().DType.String()}
	for _, d := range f.Header().Shape {
		have = append(have, strconv.Itoa(d))
	}
	if got, want := strings.Join(have, " "), strings.Join(args[1:], " "); got != want {
		ts.Fatalf("%s is %s, want %s", args[0], got, want)
	}
}

func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "same A B")
	ts.Check(sameTrees(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

// sameTrees fails unless the files below two directories have the same names and bytes; a and b may be files, too.
func sameTrees(a, b string) error {
	left, err := contents(a)
	if err != nil {
		return err
	}
	right, err := contents(b)
	if err != nil {
		return err
	}
	for name, content := range left {
		other, ok := right[name]
		if !ok {
			return fmt.Errorf("%s is not in %s", name, b)
		}
		if !bytes.Equal(content, other) {
			return fmt.Errorf("%s differs in %s and %s", name, a, b)
		}
	}
	for name := range right {
		if _, ok := left[name]; !ok {
			return fmt.Errorf("%s is not in %s", name, a)
		}
	}
	return nil
}

// contents reads all files below a path, by their names relative to it.
func contents(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	return files, err
}

func cmdBegins(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "begins LONG SHORT")
	long, short := elements(ts, args[0]), elements(ts, args[1])
	if len(short) == 0 || !bytes.HasPrefix(long, short) {
		ts.Fatalf("%s (%d bytes of elements) does not begin with the rows of %s (%d)", args[0], len(long), args[1], len(short))
	}
}

// elements are the bytes behind an array's header.
func elements(ts *testscript.TestScript, name string) []byte {
	f, err := npy.Open(ts.MkAbs(name))
	ts.Check(err)
	defer f.Close()
	b, err := os.ReadFile(ts.MkAbs(name))
	ts.Check(err)
	return b[f.Header().DataOffset:]
}

func cmdAnnounced(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "announced EDIT MARGINS")
	var record struct {
		Targets []struct {
			MarginAfter float64 `json:"margin_after"`
		} `json:"targets"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &record))
	f, err := npy.Open(ts.MkAbs(args[1]))
	ts.Check(err)
	defer f.Close()
	margin := make([]float32, 1)
	ts.Check(f.ReadFloat32(0, margin))
	if len(record.Targets) != 1 || float32(record.Targets[0].MarginAfter) != margin[0] {
		ts.Fatalf("%s announces %+v, the margin is %v", args[0], record.Targets, margin[0])
	}
}

func cmdCut(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "cut FILE SIZE")
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

func cmdReplace(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 3, "replace FILE OLD NEW")
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not contain %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o666))
}
