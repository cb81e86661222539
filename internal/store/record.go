package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// A record is a JSON object in a file that carries its own digest, so that any change of it is noticed. One member stands
// on each line; the last one is
//
//	  "self_sha256": "<64 lower-case hex digits>"
//
// and digests every byte before its line.

const selfKey = "  \"self_sha256\": \""

const selfEnd = "\"\n}\n"

// selfLen is the length of a record's last member and closing brace.
const selfLen = len(selfKey) + 2*sha256.Size + len(selfEnd)

// encodeRecord writes the struct v as a record.
func encodeRecord(v any) ([]byte, error) {
	compact, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(compact))
	if _, err := dec.Token(); err != nil { // {
		return nil, err
	}
	b := []byte("{\n")
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, "  %q: %s,\n", key, value)
	}
	return appendDigest(b), nil
}

// appendDigest ends a record: it appends the digest of what stands before it.
func appendDigest(b []byte) []byte {
	sum := sha256.Sum256(b)
	b = append(b, selfKey...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, selfEnd...)
}

// decodeRecord checks a record's digest and reads it into the struct that v points to.
func decodeRecord(b []byte, v any) error {
	if len(b) < selfLen {
		return errors.New("the file is too short to hold its own digest; it was not written by coar, or was cut")
	}
	body, end := b[:len(b)-selfLen], b[len(b)-selfLen:]
	sum := sha256.Sum256(body)
	if string(end) != selfKey+hex.EncodeToString(sum[:])+selfEnd {
		return errors.New("the file does not match the digest in its last line; it was damaged or edited by hand")
	}
	object := bytes.Clone(bytes.TrimSuffix(body, []byte(",\n")))
	return decodeStrict(append(object, '}'), v)
}

// decodeStrict reads one JSON value and nothing more, refusing members that v lacks.
func decodeStrict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.InputOffset() != int64(len(bytes.TrimRight(b, " \t\r\n"))) {
		return errors.New("something follows the JSON value")
	}
	return nil
}
