package npy

import (
	"errors"
	"fmt"
	"strconv"
)

// fields are the three entries of a header's dict, as written.
type fields struct {
	descr        string
	fortranOrder bool
	shape        []int
}

// maxDims is numpy's own limit on the number of dimensions (64 since numpy 2).
const maxDims = 64

// parseDict reads a header's Python dict literal: the keys descr, fortran_order and shape once each in any order,
// whitespace anywhere between tokens, either quote, an optional trailing comma. Anything else is an error.
func parseDict(text []byte) (fields, error) {
	s := scanner{text: text}
	var f fields
	seen := make(map[string]bool, 3)
	if err := s.expect('{'); err != nil {
		return f, err
	}
	for !s.accept('}') {
		key, err := s.str()
		if err != nil {
			return f, err
		}
		if seen[key] {
			return f, fmt.Errorf("the header names %q twice", key)
		}
		seen[key] = true
		if err := s.expect(':'); err != nil {
			return f, err
		}
		if err := s.value(key, &f); err != nil {
			return f, err
		}
		if !s.accept(',') {
			if err := s.expect('}'); err != nil {
				return f, err
			}
			break
		}
	}
	s.space()
	if s.at != len(s.text) {
		return f, fmt.Errorf("the header has %q after its dict", s.text[s.at])
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return f, fmt.Errorf("the header lacks %q", key)
		}
	}
	return f, nil
}

// scanner walks over the text of a dict literal.
type scanner struct {
	text []byte
	at   int
}

// value reads the value of key into f.
func (s *scanner) value(key string, f *fields) (err error) {
	switch key {
	case "descr":
		s.space()
		if s.at < len(s.text) && s.text[s.at] == '[' {
			return errors.New("the array has structured elements; save a plain array instead")
		}
		f.descr, err = s.str()
	case "fortran_order":
		f.fortranOrder, err = s.boolean()
	case "shape":
		f.shape, err = s.tuple()
	default:
		err = fmt.Errorf("the header has an unknown key %q", key)
	}
	return err
}

// space skips what Python allows between the tokens of a bracketed literal.
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// accept consumes c, after space, if it comes next.
func (s *scanner) accept(c byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// expect consumes c, after space, or fails.
func (s *scanner) expect(c byte) error {
	if s.accept(c) {
		return nil
	}
	if s.at == len(s.text) {
		return fmt.Errorf("the header ends where %q should come", c)
	}
	return fmt.Errorf("the header has %q where %q should come", s.text[s.at], c)
}

// str reads a quoted string of printable ASCII without escapes.
func (s *scanner) str() (string, error) {
	s.space()
	if s.at == len(s.text) || (s.text[s.at] != '\'' && s.text[s.at] != '"') {
		return "", errors.New("the header lacks a quoted string")
	}
	quote := s.text[s.at]
	start := s.at + 1
	for i := start; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == quote:
			s.at = i + 1
			return string(s.text[start:i]), nil
		case c < ' ' || c > '~' || c == '\\':
			return "", fmt.Errorf("the header has %q inside a string", c)
		}
	}
	return "", errors.New("the header has an unterminated string")
}

// boolean reads True or False.
func (s *scanner) boolean() (bool, error) {
	s.space()
	rest := string(s.text[s.at:min(len(s.text), s.at+len("False"))])
	switch {
	case len(rest) >= 4 && rest[:4] == "True":
		s.at += len("True")
		return true, nil
	case rest == "False":
		s.at += len("False")
		return false, nil
	}
	return false, errors.New("the header's fortran_order is neither True nor False")
}

// tuple reads a Python tuple of decimal integers; one element needs its comma.
func (s *scanner) tuple() ([]int, error) {
	if err := s.expect('('); err != nil {
		return nil, err
	}
	shape := []int{}
	comma := true // the tuple of one element is written (3,)
	for !s.accept(')') {
		if !comma {
			return nil, errors.New("the header's shape lacks a comma")
		}
		if len(shape) == maxDims {
			return nil, fmt.Errorf("the header's shape has more than %d dimensions", maxDims)
		}
		n, err := s.integer()
		if err != nil {
			return nil, err
		}
		shape = append(shape, n)
		comma = s.accept(',')
	}
	if len(shape) == 1 && !comma {
		return nil, errors.New("the header's shape is not a tuple; one dimension is written (3,)")
	}
	return shape, nil
}

// integer reads a non-negative decimal integer that fits an int.
func (s *scanner) integer() (int, error) {
	s.space()
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	digits := string(s.text[start:s.at])
	if digits == "" {
		return 0, errors.New("the header's shape holds something other than non-negative integers")
	}
	if len(digits) > 1 && digits[0] == '0' {
		return 0, fmt.Errorf("the header's shape holds %s, with a leading zero", digits[:min(len(digits), 20)])
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("the header's shape holds %s, which is too large", digits[:min(len(digits), 20)])
	}
	return n, nil
}
