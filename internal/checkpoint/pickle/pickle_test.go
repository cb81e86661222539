package pickle

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// load reads the one pickle that b starts with.
func load(b []byte) (any, []*Ref, error) {
	return NewReader(bytes.NewReader(b), int64(len(b))).Load()
}

// repr prints a value as Python's repr does, lists for sets and bytes.
func repr(v any) string {
	list := func(items []any) string {
		parts := make([]string, len(items))
		for i, item := range items {
			parts[i] = repr(item)
		}
		return strings.Join(parts, ", ")
	}
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return strings.ToUpper(strconv.FormatBool(v)[:1]) + strconv.FormatBool(v)[1:]
	case string:
		return "'" + v + "'"
	case []byte:
		return strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
	case Tuple:
		if len(v) == 1 {
			return "(" + list(v) + ",)"
		}
		return "(" + list(v) + ")"
	case *List:
		return "[" + list(v.Items) + "]"
	case *Dict:
		parts := make([]string, len(v.Entries))
		for i, e := range v.Entries {
			parts[i] = repr(e.Key) + ": " + repr(e.Value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func TestValuesAreThosePythonPickled(t *testing.T) {
	b, err := os.ReadFile("testdata/goldens.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		text, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		p, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		v, _, err := load(p)
		if got := repr(v); err != nil || got != want {
			t.Errorf("%.60s: %.100s, want %.100s (%v)", text, got, want, err)
		}
		for n := range min(len(p), 400) {
			if v, _, err := load(p[:n]); err == nil {
				t.Errorf("%.60s: the first %d bytes hold %s", text, n, repr(v))
			}
		}
	}
}

func TestNumbersBeyondInt64KeepTheirBytes(t *testing.T) {
	// pickle.dumps(2**70, 2), pickle.dumps(-2**70, 2)
	for text, want := range map[string]string{"80028a090000000000000000402e": "000000000000000040", "80028a090000000000000000c02e": "0000000000000000c0"} {
		p, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		v, _, err := load(p)
		if n, ok := v.(Long); err != nil || !ok || hex.EncodeToString(n) != want {
			t.Errorf("%s: %v, %v", text, v, err)
		}
	}
}

func TestCallsAreRecordedNotMade(t *testing.T) {
	for name, p := range map[string]string{
		"REDUCE":       "cos\nsystem\n(X\x04\x00\x00\x00exittR.",
		"NEWOBJ":       "\x80\x02cos\nsystem\n(X\x04\x00\x00\x00exitt\x81.",
		"NEWOBJ_EX":    "\x80\x04cos\nsystem\n(X\x04\x00\x00\x00exitt}\x92.",
		"OBJ":          "(cos\nsystem\nX\x04\x00\x00\x00exito.",
		"STACK_GLOBAL": "\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04exit\x85R.",
	} {
		v, _, err := load([]byte(p))
		o, ok := v.(*Object)
		if err != nil || !ok || !o.Is("os", "system") || repr(o.Args) != "('exit',)" {
			t.Errorf("%s: %#v, %v", name, v, err)
		}
	}
}

func TestObjectsKeepWhatIsStoredInThem(t *testing.T) {
	v, _, err := load([]byte("\x80\x02cm\nC\n)R(K\x01K\x02u(K\x03K\x04eK\x05aK\x06K\x07sK\x08b."))
	o, ok := v.(*Object)
	if err != nil || !ok {
		t.Fatalf("%v, %v", v, err)
	}
	if got := repr(&Dict{o.Entries}) + repr(&List{o.Items}) + repr(o.State); got != "{1: 2, 6: 7}[3, 4, 5]8" {
		t.Errorf("%s", got)
	}
}

func TestReferencesAreListedInOrder(t *testing.T) {
	_, refs, err := load([]byte("\x80\x02](K\x01QK\x02Qe."))
	if err != nil || len(refs) != 2 || refs[0].ID != int64(1) || refs[1].ID != int64(2) {
		t.Errorf("%v, %v", refs, err)
	}
}

func TestPicklesMayFollowOneAnother(t *testing.T) {
	b := []byte("K\x01.N.rest")
	r := NewReader(bytes.NewReader(b), int64(len(b)))
	for _, want := range []string{"1", "None"} {
		if v, _, err := r.Load(); err != nil || repr(v) != want {
			t.Errorf("%s, %v; want %s", repr(v), err, want)
		}
	}
	if r.Offset() != 5 {
		t.Errorf("offset %d, want 5", r.Offset())
	}
}

func TestMalformedPicklesAreErrors(t *testing.T) {
	for name, p := range map[string]string{
		"empty stack":          ".",
		"unknown protocol":     "\x80\x06N.",
		"unknown opcode":       "\xff.",
		"opcode of protocol 0": "S'text'\n.",
		"extension":            "\x80\x02\x82\x01.",
		"pop nothing":          "0N.",
		"pop below a mark":     "N(\x85.",
		"no mark":              "Nt.",
		"append to a number":   "K\x01K\x02a.",
		"append to nothing":    "(K\x02e.",
		"set in a list":        "]K\x01K\x02s.",
		"key without a value":  "}(K\x01u.",
		"dict of one":          "(K\x01d.",
		"arguments of a list":  "cm\nC\n]R.",
		"state of a number":    "K\x01}b.",
		"class of numbers":     "K\x01K\x02\x93.",
		"class of nothing":     "(o.",
		"memo never stored":    "h\x07.",
		"memo of nothing":      "q\x00.",
		"reference to nothing": "Q.",
		"long line":            "c" + strings.Repeat("x", maxLine+1) + "\nC\n.",
		"malformed number":     "I1x\n.",
		"huge number":          "L" + strings.Repeat("9", 100) + "L\n.",
		"long frame":           "\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00N.",
	} {
		if v, _, err := load([]byte(p)); err == nil {
			t.Errorf("%s: %s", name, repr(v))
		} else if !strings.HasPrefix(err.Error(), "pickle, byte ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := load([]byte("X\xff\xff\xff\x7fabc"))
	if err == nil || !strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) {
		t.Errorf("%v", err)
	}
}

// FuzzLoad reads arbitrary bytes as a pickle: errors are well, panics are not.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("\x80\x02](K\x01QK\x02Qe."))
	f.Add([]byte("\x80\x02cm\nC\n)R(K\x01K\x02u(K\x03K\x04eK\x05aK\x06K\x07sK\x08b."))
	f.Add([]byte("\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94\x85\x94."))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), int64(len(b)))
		if _, _, err := r.Load(); err == nil && r.Offset() > int64(len(b)) {
			t.Errorf("%d bytes of %d were consumed", r.Offset(), len(b))
		}
	})
}
