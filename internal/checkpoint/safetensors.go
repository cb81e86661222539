package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Bounds on the header of a .safetensors file. The format's own, 100 MB, is far more than a model needs and would take
// several times that to read.
const (
	maxHeader   = 8 << 20
	maxMetadata = 1 << 20
	maxTensors  = 1 << 16 // in a file of any format
)

// metadataKey is the one entry of the header that is not a tensor.
const metadataKey = "__metadata__"

// headerEntry is what the header says of a tensor.
type headerEntry struct {
	DType       DType `json:"dtype"`
	Shape       sizes `json:"shape"`
	DataOffsets sizes `json:"data_offsets"`
}

// sizes is a JSON array of whole numbers, maxDims at most.
type sizes []int

// UnmarshalJSON fails for a longer array before allocating it.
func (s *sizes) UnmarshalJSON(b []byte) error {
	if bytes.Count(b, []byte{','}) >= maxDims {
		return fmt.Errorf("an array is longer than %d", maxDims)
	}
	return json.Unmarshal(b, (*[]int)(s))
}

// readSafetensors finds the tensors in a .safetensors file, size bytes long.
//
// Layout: the header's length, 8 bytes little-endian; the header, JSON {NAME: {dtype, shape, data_offsets: [begin,
// end]}, …}; the data, which the offsets count from and divide up without gaps or overlaps.
func readSafetensors(r io.ReaderAt, size int64) (*contents, error) {
	var head [8]byte
	if err := readFull(r, head[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > uint64(size-8) {
		return nil, fmt.Errorf("the header claims %d bytes, the file has %d: it is truncated or no .safetensors file", n, size)
	}
	if n > maxHeader {
		return nil, fmt.Errorf("the header is larger than %d MB", maxHeader>>20)
	}
	header := make([]byte, n)
	if err := readFull(r, header, 8); err != nil {
		return nil, err
	}
	found := &contents{format: "safetensors"}
	h := &headerReader{r: r, dataStart: 8 + int64(n), dataSize: size - 8 - int64(n), found: found}
	if err := h.read(header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if len(found.tensors) == 0 {
		return nil, errors.New("it holds no tensors")
	}
	return found, h.checkCover()
}

// headerReader turns a header into tensors.
type headerReader struct {
	r                   io.ReaderAt
	dataStart, dataSize int64
	found               *contents
	spans               [][2]int64 // begin and end of every tensor's data
}

// read goes through the header's entries, in order.
func (h *headerReader) read(header []byte) error {
	d := json.NewDecoder(bytes.NewReader(header))
	d.DisallowUnknownFields()
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return errors.Join(errors.New("it is not a JSON object"), err)
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return jsonError(err)
		}
		name, _ := token.(string) // the decoder lets nothing else stand here
		if name == metadataKey {
			if err := h.readMetadata(d); err != nil {
				return fmt.Errorf("%s: %w", metadataKey, err)
			}
			continue
		}
		var e headerEntry
		if err := d.Decode(&e); err != nil {
			return fmt.Errorf("tensor %s: %w", quote(name), jsonError(err))
		}
		t, err := h.tensor(e)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", quote(name), err)
		}
		if len(h.found.tensors) == maxTensors {
			return fmt.Errorf("there are more than %d tensors", maxTensors)
		}
		t.original = name
		h.found.tensors = append(h.found.tensors, t)
	}
	if _, err := d.Token(); err != nil {
		return jsonError(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// readMetadata reads the one entry that is not a tensor: names and texts.
func (h *headerReader) readMetadata(d *json.Decoder) error {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return jsonError(err)
	}
	if len(raw) > maxMetadata || h.found.metadata != nil {
		return fmt.Errorf("it is there twice or longer than %d MB", maxMetadata>>20)
	}
	h.found.metadata = map[string]string{}
	return json.Unmarshal(raw, &h.found.metadata)
}

// jsonError calls the end of the header by its name.
func jsonError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the JSON ends in the middle")
	}
	return err
}

// tensor checks an entry against the data.
func (h *headerReader) tensor(e headerEntry) (*tensor, error) {
	itemSize := dtypeSizes[e.DType]
	if itemSize == 0 {
		return nil, fmt.Errorf("element type %s is not known", quote(string(e.DType)))
	}
	if e.Shape == nil || len(e.DataOffsets) != 2 {
		return nil, errors.New("shape or data_offsets is missing or malformed")
	}
	length, err := checkedLen(e.Shape)
	if err != nil {
		return nil, err
	}
	begin, end := int64(e.DataOffsets[0]), int64(e.DataOffsets[1])
	if begin < 0 || end < begin || end > h.dataSize {
		return nil, fmt.Errorf("data_offsets [%d, %d] do not lie within the %d bytes of data: the file is truncated or malformed", begin, end, h.dataSize)
	}
	if want := int64(length) * int64(itemSize); end-begin != want {
		return nil, fmt.Errorf("shape %s of type %s takes %d bytes, data_offsets [%d, %d] hold %d", formatShape(e.Shape), e.DType, want, begin, end, end-begin)
	}
	h.spans = append(h.spans, [2]int64{begin, end})
	return newTensor(e.DType, itemSize, e.Shape, nil, 0, section(h.r, h.dataStart+begin, end-begin))
}

// checkCover fails unless the tensors divide up the data without gaps or overlaps.
func (h *headerReader) checkCover() error {
	slices.SortFunc(h.spans, func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
	var at int64
	for _, s := range h.spans {
		if s[0] != at {
			return fmt.Errorf("the data has a gap or an overlap at byte %d", min(at, s[0]))
		}
		at = s[1]
	}
	if at != h.dataSize {
		return fmt.Errorf("%d bytes follow the last tensor", h.dataSize-at)
	}
	return nil
}
