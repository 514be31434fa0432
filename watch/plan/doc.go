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

// Read reads a configuration in JSON or YAML. Errors wrap [damon.ErrMalformed].
func Read(r io.Reader) (any, error) {
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if len(text) > most {
		return nil, fmt.Errorf("%w: more than %d bytes", damon.ErrMalformed, most)
	}
	// JSON first: YAML has other numbers.
	configuration, err := readJSON(text)
	if err == nil {
		return configuration, nil
	}
	if yamlErr := yaml.Load(text, &configuration); yamlErr == nil {
		return configuration, nil
	} else if start := bytes.TrimSpace(text); !bytes.HasPrefix(start, []byte("{")) && !bytes.HasPrefix(start, []byte("[")) {
		err = yamlErr
	}
	return nil, fmt.Errorf("%w: %w", damon.ErrMalformed, err)
}

func readJSON(text []byte) (configuration any, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&configuration); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
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
	configuration, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return configuration, nil
}
