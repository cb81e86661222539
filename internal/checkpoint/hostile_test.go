package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
)

// allocated is the number of bytes that f allocates, those that it drops again included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// maxAllocated is what a hostile file may make a reader allocate in total, which bounds what it holds at any time.
const maxAllocated = 100e6

// readAll opens a checkpoint in memory and reads every tensor of floats, returning the first error.
func readAll(name string, b []byte) error {
	f, err := load(name, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	for _, t := range f.tensors {
		if float32Decoder(t.dtype) == nil {
			continue
		}
		if _, err := f.Float32(t.key); err != nil {
			return err
		}
	}
	return nil
}

// hostile is a file in memory and what the error must say of it.
type hostile struct {
	name string
	file []byte
	want string
}

func check(t *testing.T, cases []hostile) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if n := allocated(func() { err = readAll("hostile", c.file) }); n > maxAllocated {
				t.Errorf("%d MB allocated", n>>20)
			}
			checkMalformed(t, err, "hostile", c.want)
		})
	}
}

func TestHostileSafetensors(t *testing.T) {
	const one = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	data := make([]byte, 8)
	header := func(name, header, want string) hostile {
		return hostile{name, safetensorsBytes(header, data), want}
	}
	claim := func(n uint64) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, n), "{}            "...)
	}
	check(t, []hostile{
		{"header length beyond the file", claim(1000), "the header claims 1000 bytes"},
		{"header length beyond int64", claim(math.MaxUint64), "the header claims 18446744073709551615 bytes"},
		{"header too large", safetensorsBytes("{"+strings.Repeat(" ", maxHeader)+"}", nil), "the header is larger than 8 MB"},
		header("no JSON", `{nonsense`, "header: "),
		header("cut JSON", `{"a":{"dtype":"F32"`, "the JSON ends in the middle"),
		header("two objects", `{`+one+`}{}`, "something follows the JSON object"),
		header("no tensor", `{}`, "it holds no tensors"),
		header("unknown field", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}`, "tensor a: json: unknown field"),
		header("unknown type", `{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}`, "tensor a: element type F31 is not known"),
		header("wrong type of type", `{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}`, "tensor a: "),
		header("wrong type", `{"a":{"dtype":"F64","shape":[2],"data_offsets":[0,8]}}`, "tensor a: shape [2] of type F64 takes 16 bytes"),
		header("no shape", `{"a":{"dtype":"F32","data_offsets":[0,8]}}`, "tensor a: shape or data_offsets is missing"),
		header("no offsets", `{"a":{"dtype":"F32","shape":[2]}}`, "tensor a: shape or data_offsets is missing"),
		header("three offsets", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}}`, "tensor a: shape or data_offsets is missing"),
		header("huge shape", `{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,8]}}`, "tensor a: shape [1000000000000] of type F32 takes 4000000000000 bytes"),
		header("overflowing shape", `{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}}`, "claims more elements than any file holds"),
		header("negative shape", `{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}`, "has a negative size"),
		header("fractional shape", `{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}`, "tensor a: "),
		header("many dimensions", `{"a":{"dtype":"F32","shape":[1`+strings.Repeat(",1", 1<<20)+`],"data_offsets":[0,8]}}`, "an array is longer than 64"),
		header("offsets beyond the data", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`, "data_offsets [8, 16] do not lie within the 8 bytes of data"),
		header("offsets backwards", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, "do not lie within"),
		header("negative offsets", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}`, "do not lie within"),
		header("overlap", `{`+one+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "the data has a gap or an overlap at byte 4"),
		header("gap", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "the data has a gap or an overlap at byte 0"),
		header("bytes left over", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "4 bytes follow the last tensor"),
		header("same key twice", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "tensor a is there twice"),
		header("key with and without module.", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"module.a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "tensor a is there twice, as a and as module.a"),
		header("metadata of the wrong type", `{"__metadata__":{"a":1},`+one+`}`, "__metadata__: "),
		header("too many tensors", "{"+strings.Repeat(`"`+strings.Repeat("x", 8)+`":{"dtype":"I8","shape":[0],"data_offsets":[0,0]},`, maxTensors)+one+"}", "there are more than 65536 tensors"),
		header("name with control characters", `{"\u001b[2J\n":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}`, `tensor "\x1b[2J\n": `),
	})
}

// tensorCases are single tensors over a storage "0" of six float32 that cannot be.
func tensorCases() []struct{ name, tensor, want string } {
	storage := pStorage("FloatStorage", "0", 6)
	return []struct{ name, tensor, want string }{
		{"huge shape", pTensor(storage, 0, pInts(1<<40, 1), pInts(1, 1)), "reaches beyond its storage of 6 elements"},
		{"huge shape by repeating", pTensor(storage, 0, pInts(1<<40), pInts(0)), "claims 1099511627776 elements, its storage has 6"},
		{"overflowing shape", pTensor(storage, 0, pInts(1<<40, 1<<40), pInts(0, 0)), "claims more elements than any file holds"},
		{"sizes beyond int64", pTensor(storage, 0, pTuple("\x8a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), pInts(1)), "malformed"},
		{"negative size", pTensor(storage, 0, pInts(-1), pInts(1)), "malformed"},
		{"negative stride", pTensor(storage, 5, pInts(2), pInts(-1)), "malformed"},
		{"huge stride", pTensor(storage, 0, pInts(2), pInts(1<<56)), "reaches beyond"},
		{"strides that overflow", pTensor(storage, 0, pInts(1<<30, 1<<20), pInts(1<<56, 1<<56)), "reaches beyond"},
		{"offset beyond the storage", pTensor(storage, 7, pInts(1), pInts(1)), "it starts at element 7, its storage has 6"},
		{"offset at the end", pTensor(storage, 6, pInts(1), pInts(1)), "reaches beyond"},
		{"too few strides", pTensor(storage, 0, pInts(2, 3), pInts(3)), "2 dimensions and 1 strides"},
		{"many dimensions", pTensor(storage, 0, pInts(make([]int64, 65)...), pInts(make([]int64, 65)...)), "malformed"},
		{"shape of text", pTensor(storage, 0, pText("23"), pInts(3, 1)), "malformed"},
		{"no arguments", pCall(pGlobal("torch._utils", "_rebuild_tensor")), "has 0 arguments"},
		{"no storage", pTensor(pInt(0), 0, pInts(2), pInts(1)), "malformed"},
		{"parameter of nothing", pCall(pGlobal("torch._utils", "_rebuild_parameter")), "has no arguments"},
		{"subclass of nothing", pCall(pGlobal("torch._tensor", "_rebuild_from_type_v2")), "has 0 arguments"},
		{"quantized", pCall(pGlobal("torch._utils", "_rebuild_qtensor"), storage), "_rebuild_qtensor, which is not supported"},
		{"negated", pCall(pGlobal("torch._utils", "_rebuild_tensor_v2"), storage, pInt(0), pInts(6), pInts(1), "\x89", "}", pDict(pText("neg"), "\x88")), "lazily negated or conjugated"},
		{"wrapped too often", strings.Repeat(pGlobal("torch._utils", "_rebuild_parameter")+"(", 5) + pTensor(storage, 0, pInts(6), pInts(1)) + strings.Repeat("tR", 5), "wrapped too often"},
		{"unknown storage type", pTensor(pStorage("OddStorage", "0", 6), 0, pInts(6), pInts(1)), "unknown type torch.OddStorage"},
		{"wrong storage type", pTensor(pStorage("DoubleStorage", "0", 6), 0, pInts(6), pInts(1)), "48"},
		{"storage length beyond the file", pTensor(pStorage("FloatStorage", "0", 1<<50), 0, pInts(1<<50), pInts(1)), "1125899906842624"},
		{"missing storage", pTensor(pStorage("FloatStorage", "1", 6), 0, pInts(6), pInts(1)), "storage"},
		{"storage without a length", pTensor(pTuple(pText("storage"), pGlobal("torch", "FloatStorage"), pText("0"), pText("cpu"), "N")+"Q", 0, pInts(6), pInts(1)), "without a type, key or length"},
		{"reference to something else", pTensor(pTuple(pText("file"), pText("/etc/passwd"))+"Q", 0, pInts(6), pInts(1)), "storage"},
	}
}

func TestHostileTensorsInZip(t *testing.T) {
	var cases []hostile
	for _, c := range tensorCases() {
		want := strings.Replace(c.want, "1125899906842624", "the pickle says 4503599627370496", 1)
		cases = append(cases, hostile{c.name, zipBytes(t, pickled(pDict(pText("w"), c.tensor)), map[string][]byte{"data/0": make([]byte, 24)}), want})
	}
	check(t, cases)
}

func TestHostileTensorsInLegacy(t *testing.T) {
	var cases []hostile
	for _, c := range tensorCases() {
		var length uint64 = 6
		want := c.want
		if strings.Contains(c.name, "storage length") {
			length, want = 1<<50, "claims 1125899906842624 elements of 4 bytes"
		}
		if c.name == "wrong storage type" {
			want = "claims 6 elements of 8 bytes, the file has 24 bytes left"
		}
		data := append(binary.LittleEndian.AppendUint64(nil, length), make([]byte, 24)...)
		// A tensor that names no storage leaves the only one unused, so a good one stands beside it.
		object := pickled(pDict(pText("v"), pTensor(pStorage("FloatStorage", "0", 6), 0, pInts(6), pInts(1)), pText("w"), c.tensor))
		if c.name == "wrong storage type" || length != 6 {
			object = pickled(pDict(pText("w"), c.tensor))
		}
		cases = append(cases, hostile{c.name, legacyBytes(object, pList(pText("0")), data), want})
	}
	check(t, cases)
}

func TestHostileLegacy(t *testing.T) {
	object := pickled(pDict(pText("w"), pTensor(pStorage("FloatStorage", "0", 1), 0, pInts(1), pInts(1))))
	data := append(binary.LittleEndian.AppendUint64(nil, 1), 0, 0, 0x80, 0x3f)
	sound := legacyBytes(object, pList(pText("0")), data)
	if err := readAll("sound", sound); err != nil {
		t.Fatal(err)
	}
	check(t, []hostile{
		{"other pickle", pickled(pDict()), "this is a pickle, but not one written by torch.save"},
		{"other version", bytes.Replace(sound, []byte("M\xe9\x03"), []byte("M\xe8\x03"), 1), "the protocol version is not 1001"},
		{"no list of storages", legacyBytes(object, pInt(1), data), "the list of storages is not a list"},
		{"storage listed twice", legacyBytes(object, pList(pText("0"), pText("0")), append(data, data...)), "storage 0 is listed twice or never used"},
		{"storage never used", legacyBytes(object, pList(pText("1")), data), "storage 1 is listed twice or never used"},
		{"other length", legacyBytes(object, pList(pText("0")), append([]byte{2}, data[1:]...)), "storage 0 has 2 elements, the pickle says 1"},
		{"length beyond int64", legacyBytes(object, pList(pText("0")), bytes.Repeat([]byte{255}, 12)), "has 18446744073709551615 elements"},
		{"bytes left over", append(sound[:len(sound):len(sound)], 0), "1 bytes follow the last storage"},
		{"no tensors", legacyBytes(pickled(pDict(pText("epoch"), pInt(1))), pList(), nil), "it holds no tensors by name, neither at the top (keys: epoch)"},
		{"no dict", legacyBytes(pickled(pInt(1)), pList(), nil), "it holds neither a state dict nor a module"},
	})
}

func TestHostileZip(t *testing.T) {
	tensor := pTensor(pStorage("FloatStorage", "0", 1), 0, pInts(1), pInts(1))
	one := map[string][]byte{"data/0": {0, 0, 0x80, 0x3f}}
	check(t, []hostile{
		{"no object", bytes.ReplaceAll(zipBytes(t, pickled("}"), nil), []byte("data.pkl"), []byte("dada.pkl")), "this zip archive has no data.pkl"},
		{"no archive", []byte("PK\x03\x04 and nothing else of the kind"), "the zip archive cannot be read"},
		{"storage in the wrong type", zipBytes(t, pickled(pDict(pText("w"), strings.Replace(tensor, "FloatStorage", "DoubleStorage", 1))), one), "its storage 0 has 4 bytes, the pickle says 8"},
		{"dict in itself", zipBytes(t, pickled("}q\x00"+pText("model")+"h\x00s"), nil), "it holds no tensors by name"},
		{"memo never stored", zipBytes(t, pickled(pDict(pText("model"), "h\x00")), nil), "data.pkl: pickle, byte"},
		{"modules in themselves", zipBytes(t, pickled(moduleBomb(8, 70)), one), "its modules are nested too deeply or are too many"},
		{"modules shared over and over", zipBytes(t, pickled(moduleBomb(30, 2)), one), "its modules are nested too deeply or are too many"},
		{"same tensor under many keys", zipBytes(t, pickled(pDict(pText("w"), tensor, pText("module.w"), tensor)), one), "tensor w is there twice"},
		{"big-endian", zipBytes(t, pickled(pDict(pText("w"), tensor)), map[string][]byte{"data/0": one["data/0"], "byteorder": []byte("big")}), "its byte order is big"},
		{"compressed beyond reason", zipOf(t, zip.Deflate, "archive/data.pkl", make([]byte, 64<<20)), "claims to expand to more than 20 times its size"},
		{"unknown compression", bytes.ReplaceAll(zipOf(t, zip.Deflate, "archive/data.pkl", []byte("}.")), []byte("\x08\x00\x08\x00"), []byte("\x08\x00\x0c\x00")), "unsupported compression algorithm"},
		{"same entry twice", bytes.ReplaceAll(zipBytes(t, pickled("}"), map[string][]byte{"data.pkk": nil}), []byte("data.pkk"), []byte("data.pkl")), "zip entry archive/data.pkl is there twice"},
		{"two objects", bytes.ReplaceAll(zipBytes(t, pickled("}"), map[string][]byte{"data.pkk": nil}), []byte("archive/data.pkk"), []byte("brchive/data.pkl")), "this zip archive has several data.pkl"},
		{"huge directory", zipOfMany(t, 60000), "its directory is larger than 4 MB"},
	})
	cases := []hostile{}
	for _, opcode := range []string{"X", "T", "B", "\x8b"} { // claims of 4 bytes' length
		cases = append(cases, hostile{fmt.Sprintf("length of opcode %q", opcode), zipBytes(t, []byte("\x80\x02"+opcode+"\xff\xff\xff\x7f"), nil), "2147483647 bytes are claimed"})
	}
	for _, opcode := range []string{"\x8d", "\x8e", "\x96", "\x95"} { // of 8
		cases = append(cases, hostile{fmt.Sprintf("length of opcode %q", opcode), zipBytes(t, []byte("\x80\x04"+opcode+"\xff\xff\xff\xff\xff\xff\xff\x7f"), nil), "bytes"})
	}
	check(t, cases)
}

func TestPickleBombsStayWithinTheirBudget(t *testing.T) {
	const n = 4 << 20
	for name, part := range map[string]string{
		"marks": "(", "lists": "]", "sets": "\x8f", "tuples": ")", "none": "N", "dicts": "}", "numbers": "K\x01", "memo": "N\x94",
		"doubling": "2", "calls": "]0c\nc\n)R", "marked tuples": "(t", "references": "NQ", "texts": "U\x00", "stored": "h\x00", "floats": "G\x3f\xf0\x00\x00\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			object := []byte("\x80\x04]q\x00" + strings.Repeat(part, n/len(part)))
			b := zipBytes(t, object, nil)
			var err error
			if n := allocated(func() { err = readAll("bomb", b) }); n > maxAllocated {
				t.Errorf("%d MB allocated", n>>20)
			}
			checkMalformed(t, err, "bomb", "data.pkl: pickle, byte")
		})
	}
}
