package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// headerLine is what the header of a .safetensors file to be written says of a tensor.
type headerLine struct {
	key   string
	dtype DType
	shape []int
	bytes int
}

// marshalHeader is the beginning of a .safetensors file, up to the data, whose order is dataOrder's. The header lists
// entries in their own order and is padded to a multiple of 8 bytes.
func marshalHeader(metadata map[string]string, entries []headerLine) ([]byte, error) {
	begin := make([]int, len(entries))
	at := 0
	for _, i := range dataOrder(entries) {
		begin[i] = at
		at += entries[i].bytes
	}
	b := bytes.NewBuffer(make([]byte, 8))
	b.WriteByte('{')
	if err := writeJSON(b, metadataKey, metadata); err != nil {
		return nil, err
	}
	for i, e := range entries {
		b.WriteByte(',')
		line := headerEntry{DType: e.dtype, Shape: append(sizes{}, e.shape...), DataOffsets: sizes{begin[i], begin[i] + e.bytes}}
		if err := writeJSON(b, e.key, line); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	header := b.Bytes()
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, nil
}

// writeJSON writes "key": value.
func writeJSON(b *bytes.Buffer, key string, value any) error {
	k, err := json.Marshal(key)
	if err != nil {
		return fmt.Errorf("checkpoint: header: %w", err)
	}
	v, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("checkpoint: header: %w", err)
	}
	b.Write(k)
	b.WriteByte(':')
	b.Write(v)
	return nil
}
