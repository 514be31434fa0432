package damon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// configMost bounds a configuration: far more than the kernel takes.
const configMost = 16 << 20

// ReadConfig reads kdamonds from JSON: what [Status.WriteJSON] writes, an object with
// "kdamonds", or their list. Fields are named as the kernel's files are; those of the
// kdamonds must be known. Lists of filters that are left out are those of a kernel that has
// no such directory. Errors wrap [ErrMalformed].
func ReadConfig(r io.Reader) ([]Kdamond, error) {
	text, err := io.ReadAll(io.LimitReader(r, configMost+1))
	if err != nil {
		return nil, err
	}
	if len(text) > configMost {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, configMost)
	}
	text = bytes.TrimSpace(text)
	for _, key := range []string{"interface", "kdamonds"} {
		var object map[string]json.RawMessage
		if len(text) == 0 || text[0] != '{' {
			break
		}
		if err := json.Unmarshal(text, &object); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if inner, ok := object[key]; ok {
			text = bytes.TrimSpace(inner)
		}
	}
	var list []Kdamond
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: more than one value", ErrMalformed)
	}
	if list == nil {
		return nil, fmt.Errorf("%w: no kdamonds", ErrMalformed)
	}
	return list, nil
}
