package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The functions below assemble pickles, opcode by opcode, that torch.save would not write.

func pickled(value string) []byte { return []byte("\x80\x02" + value + ".") }

func pInt(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func pText(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func pTuple(items ...string) string { return "(" + strings.Join(items, "") + "t" }

func pInts(n ...int64) string {
	items := make([]string, len(n))
	for i, v := range n {
		items[i] = pInt(v)
	}
	return pTuple(items...)
}

func pList(items ...string) string { return "](" + strings.Join(items, "") + "e" }

func pDict(keysAndValues ...string) string { return "}(" + strings.Join(keysAndValues, "") + "u" }

func pGlobal(module, name string) string { return "c" + module + "\n" + name + "\n" }

func pCall(function string, args ...string) string { return function + pTuple(args...) + "R" }

func pStorage(class, key string, length int64) string {
	return pTuple(pText("storage"), pGlobal("torch", class), pText(key), pText("cpu"), pInt(length)) + "Q"
}

func pTensor(storage string, offset int64, shape, strides string) string {
	return pCall(pGlobal("torch._utils", "_rebuild_tensor"), storage, pInt(offset), shape, strides)
}

// zipBytes is an archive as torch.save writes it, with an object and further entries.
func zipBytes(t testing.TB, object []byte, entries map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("archive/data.pkl", object)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		add("archive/"+name, entries[name])
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// legacyBytes is a file as torch.save wrote it; storages is what follows the pickles.
func legacyBytes(object []byte, keys string, storages []byte) []byte {
	magic := "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
	return bytes.Join([][]byte{pickled(magic), pickled("M\xe9\x03"), pickled("}"), object, pickled(keys), storages}, nil)
}

// safetensorsBytes is a file with this header.
func safetensorsBytes(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

// moduleBomb is a chain of modules each of which holds the one before it as often as width says.
func moduleBomb(depth, width int) string {
	module := func(children string) string {
		return pCall(pGlobal("m", "M")) + pDict(pText("_parameters"), "}", pText("_buffers"), "}", pText("_modules"), children) + "b"
	}
	bomb := module("}") + "q\x00"
	for range depth {
		var children []string
		for i := range width {
			children = append(children, pText(fmt.Sprint(i)), "h\x00")
		}
		bomb += module(pDict(children...)) + "q\x00"
	}
	return bomb
}

// zipOf is an archive of one entry.
func zipOf(t *testing.T, method uint16, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
	if err == nil {
		_, err = w.Write(data)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipOfMany is an archive of n empty entries with long names.
func zipOfMany(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range n {
		if _, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("archive/data/%020d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
