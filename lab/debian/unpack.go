package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// kernelFiles are what is taken from the packages of one kernel.
type kernelFiles struct {
	image, config []byte
	modules       map[string][]byte   // unpacked, by name
	depends       map[string][]string // direct dependencies of every module of the kernel that was kept
}

// unpack reads the packages of one kernel. Of the modules it keeps the wanted ones and
// all that they need.
func unpack(ctx context.Context, debs []string) (*kernelFiles, error) {
	k := &kernelFiles{modules: map[string][]byte{}, depends: map[string][]string{}}
	packed := map[string][]byte{}
	for _, deb := range debs {
		if err := k.read(ctx, deb, packed); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(deb), err)
		}
	}
	if k.image == nil || k.config == nil || len(packed) == 0 {
		return nil, fmt.Errorf("no whole kernel in %s: image %t, configuration %t, %d modules", strings.Join(debs, ", "), k.image != nil, k.config != nil, len(packed))
	}
	return k, k.keep(packed, Wanted())
}

// read takes what a kernel needs from one package.
func (k *kernelFiles) read(ctx context.Context, deb string, packed map[string][]byte) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	cmd.Stderr = &complaint
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = k.members(tar.NewReader(pipe), packed)
	if err != nil {
		stop()
	} else {
		_, err = io.Copy(io.Discard, pipe)
	}
	if wait := cmd.Wait(); wait != nil && ctx.Err() == nil {
		err = errors.Join(err, fmt.Errorf("dpkg-deb: %w: %s", wait, bytes.TrimSpace(complaint.Bytes())))
	}
	return err
}

func (k *kernelFiles) members(archive *tar.Reader, packed map[string][]byte) error {
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := k.member(header.Name, archive, packed); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func (k *kernelFiles) member(name string, content io.Reader, packed map[string][]byte) (err error) {
	switch base := path.Base(name); {
	case strings.HasPrefix(base, "vmlinuz"):
		k.image, err = io.ReadAll(content)
	case strings.HasPrefix(base, "config-") || base == "config" && strings.Contains(name, "/modules/"):
		k.config, err = io.ReadAll(content)
	default:
		if module, ok := moduleName(name); ok {
			packed[module+strings.TrimPrefix(path.Ext(name), ".ko")], err = io.ReadAll(content)
		}
	}
	return err
}

// keep unpacks the named modules that are there, and what they depend on.
func (k *kernelFiles) keep(packed map[string][]byte, names []string) error {
	for _, name := range names {
		name = canonical(name)
		if _, done := k.modules[name]; done {
			continue
		}
		module, ok, err := decompress(packed, name)
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		if !ok {
			continue
		}
		depends, err := parseDependencies(module)
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		k.modules[name], k.depends[name] = module, depends
		if err := k.keep(packed, depends); err != nil {
			return err
		}
	}
	return nil
}

func decompress(packed map[string][]byte, name string) ([]byte, bool, error) {
	if module, ok := packed[name]; ok {
		return module, true, nil
	}
	module, ok := packed[name+".xz"]
	if !ok {
		return nil, false, nil
	}
	r, err := xz.NewReader(bytes.NewReader(module))
	if err != nil {
		return nil, false, err
	}
	module, err = io.ReadAll(r)
	return module, true, err
}

// write lays the files of a kernel out in a folder.
func (k *kernelFiles) write(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "modules"), 0o755); err != nil {
		return err
	}
	err := errors.Join(os.WriteFile(filepath.Join(dir, imageFile), k.image, 0o644), os.WriteFile(filepath.Join(dir, configFile), k.config, 0o644))
	for name, module := range k.modules {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "modules", name+".ko"), module, 0o644))
	}
	return err
}
