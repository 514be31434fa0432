// Package plan makes of files and of words of a command line what DAMON is to be: a
// configuration that [damon.Merge] lays over what is there.
package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v4"

	"github.com/safevma/safevma/kernel/damon"
)

// most bounds a file: far more than the kernel takes.
const most = 16 << 20

// Read reads a configuration, in JSON where it begins like that, otherwise in YAML. Errors
// wrap [damon.ErrMalformed].
func Read(r io.Reader) (any, error) {
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if len(text) > most {
		return nil, fmt.Errorf("%w: more than %d bytes", damon.ErrMalformed, most)
	}
	var configuration any
	if start := bytes.TrimSpace(text); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		dec := json.NewDecoder(bytes.NewReader(start))
		dec.UseNumber()
		err = dec.Decode(&configuration)
		if _, more := dec.Token(); err == nil && more != io.EOF {
			err = errors.New("more than one value")
		}
	} else {
		err = yaml.Load(text, &configuration)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", damon.ErrMalformed, err)
	}
	return configuration, nil
}

// Load reads the configuration of a file; - is stdin.
func Load(name string, stdin io.Reader) (any, error) {
	if name == "-" {
		return Read(stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Read(file)
}
