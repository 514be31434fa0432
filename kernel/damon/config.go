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
// "kdamonds", or their list; also in the form of damo. What is left out is as [Merge] says.
// Errors wrap [ErrMalformed].
func ReadConfig(r io.Reader) ([]Kdamond, error) {
	text, err := io.ReadAll(io.LimitReader(r, configMost+1))
	if err != nil {
		return nil, err
	}
	if len(text) > configMost {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, configMost)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var configuration any
	if err := dec.Decode(&configuration); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: more than one value", ErrMalformed)
	}
	return Merge(nil, configuration)
}
