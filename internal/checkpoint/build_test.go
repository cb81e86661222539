package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
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

// zipBytes is an archive as torch.save writes it.
func zipBytes(t testing.TB, object []byte, storages map[string][]byte) []byte {
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
	for key, data := range storages {
		add("archive/data/"+key, data)
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
