package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/safevma/safevma/internal/sys"
)

const (
	imageFile  = "vmlinuz"
	configFile = "config"
	kernelFile = "kernel.json"
)

// format is raised when what is kept of a kernel changes: one that was kept in another
// form is unpacked anew.
const format = 2

// Kernel is a kernel in the cache.
type Kernel struct {
	Release  string              `json:"release"` // as uname -r says it
	Series   string              `json:"series"`  // 6.12
	Arch     string              `json:"arch"`    // amd64, arm64
	Packages []Package           `json:"packages"`
	Depends  map[string][]string `json:"depends"` // the modules that were kept, each with what it needs
	Format   int                 `json:"format"`

	dir string
}

// Package is a Debian package that a kernel came from.
type Package struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// Image returns the path of the kernel's image.
func (k *Kernel) Image() string { return filepath.Join(k.dir, imageFile) }

// Module returns a module, as the kernel loads it.
func (k *Kernel) Module(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(k.dir, "modules", name+".ko"))
}

// ConfigText returns the configuration that the kernel was built with.
func (k *Kernel) ConfigText() ([]byte, error) {
	return os.ReadFile(filepath.Join(k.dir, configFile))
}

// Identity is a text that differs for kernels that differ.
func (k *Kernel) Identity() string {
	text := fmt.Sprintf("%s format %d", k.Release, k.Format)
	for _, p := range k.Packages {
		text += " " + p.SHA256
	}
	return text
}

// Cache is a folder that keeps kernels.
type Cache struct {
	Dir string
	// Say is told what is going on while something takes long. It may be nil.
	Say func(format string, args ...any)
}

func (c *Cache) say(format string, args ...any) {
	if c.Say != nil {
		c.Say(format, args...)
	}
}

func (c *Cache) folder(arch, release string) string {
	return filepath.Join(c.Dir, "kernels", arch, release)
}

// Kernels returns what the cache has, ordered by architecture and version.
func (c *Cache) Kernels() ([]*Kernel, error) {
	found, err := filepath.Glob(c.folder("*", filepath.Join("*", kernelFile)))
	if err != nil {
		return nil, err
	}
	var kernels []*Kernel
	for _, file := range found {
		k, err := load(filepath.Dir(file))
		if err != nil {
			return nil, err
		}
		if k.Format == format {
			kernels = append(kernels, k)
		}
	}
	slices.SortFunc(kernels, func(a, b *Kernel) int {
		ra, _ := parseRelease("linux-image-" + a.Release)
		rb, _ := parseRelease("linux-image-" + b.Release)
		if order := strings.Compare(a.Arch, b.Arch); order != 0 {
			return order
		}
		return slices.Compare(ra.key, rb.key)
	})
	return kernels, nil
}

// ErrNotCached says that the cache has no kernel of that series.
var ErrNotCached = errors.New("not in the cache")

// Cached returns the newest kernel of a series that the cache has, or the one with exactly
// that release, or the one that was the newest of all when that was asked for last.
func (c *Cache) Cached(series, arch string) (*Kernel, error) {
	kernels, err := c.Kernels()
	if err != nil {
		return nil, err
	}
	wanted := series
	if series == Newest {
		text, err := os.ReadFile(c.newestFile(arch))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		wanted = string(text)
	}
	for _, k := range slices.Backward(kernels) {
		if k.Arch == arch && (k.Series == wanted || k.Release == wanted) {
			return k, nil
		}
	}
	return nil, fmt.Errorf("kernel %s for %s: %w", series, arch, ErrNotCached)
}

// newestFile names the release that "newest" stands for.
func (c *Cache) newestFile(arch string) string { return c.folder(arch, Newest) }

// Get returns a kernel of a series from the cache, or fetches it. Whether there is a newer
// one is asked only with [Cache.Fetch].
func (c *Cache) Get(ctx context.Context, series, arch string) (*Kernel, error) {
	k, err := c.Cached(series, arch)
	if errors.Is(err, ErrNotCached) {
		return c.Fetch(ctx, series, arch)
	}
	return k, err
}

// Fetch gets the newest kernel of a series that packages offer, whole, into the cache.
func (c *Cache) Fetch(ctx context.Context, series, arch string) (*Kernel, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	a, err := newApt(ctx, filepath.Join(c.Dir, "apt"))
	if err != nil {
		return nil, err
	}
	c.say("asking for packages of kernel %s for %s", series, arch)
	if err := a.update(ctx); err != nil {
		return nil, err
	}
	pkgs, err := a.images(ctx)
	if err != nil {
		return nil, err
	}
	releases, err := choose(pkgs, series, arch)
	if err != nil {
		return nil, err
	}
	k, err := c.firstWhole(ctx, a, releases)
	if err == nil && series == Newest {
		err = os.WriteFile(c.newestFile(arch), []byte(k.Release), 0o644)
	}
	return k, err
}

// firstWhole fetches the first of the releases all of whose packages are there: the
// archive of a series that ended may keep some of them only.
func (c *Cache) firstWhole(ctx context.Context, a *apt, releases []release) (*Kernel, error) {
	var skipped []string
	for _, r := range releases {
		parts, missing, err := a.parts(ctx, r)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(missing, essential) {
			return c.fetch(ctx, a, r, parts)
		}
		skipped = append(skipped, fmt.Sprintf("%s lacks %s", r.name, strings.Join(missing, " and ")))
	}
	return nil, fmt.Errorf("no kernel of the series %s is whole in the archive: %s", releases[0].series, strings.Join(skipped, "; "))
}

// essential: without linux-base a kernel may still be whole, which unpacking finds out.
func essential(pkg string) bool { return !strings.HasPrefix(pkg, "linux-base-") }

func (c *Cache) fetch(ctx context.Context, a *apt, r release, parts []string) (*Kernel, error) {
	if k, err := load(c.folder(r.arch, r.name)); err == nil && k.Format == format {
		return k, nil
	}
	c.say("fetching %s: about 100 MB, once", strings.Join(parts, " "))
	temp, err := os.MkdirTemp(c.Dir, "fetch-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	debs, err := a.download(ctx, temp, r.arch, parts)
	if err != nil {
		return nil, err
	}
	return c.install(ctx, r, debs, temp)
}

// Add puts a kernel into the cache from package files that are already there.
func (c *Cache) Add(ctx context.Context, debs []string) (*Kernel, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, deb := range debs {
		pkg, _, _ := strings.Cut(filepath.Base(deb), "_")
		r, ok := parseRelease(pkg)
		if !ok {
			continue
		}
		temp, err := os.MkdirTemp(c.Dir, "fetch-*")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(temp)
		return c.install(ctx, r, debs, temp)
	}
	return nil, fmt.Errorf("none of %s is a linux-image package by its name", strings.Join(debs, ", "))
}

// install unpacks a kernel beside its place, and then moves it there whole.
func (c *Cache) install(ctx context.Context, r release, debs []string, temp string) (*Kernel, error) {
	c.say("unpacking %s", r.name)
	files, err := unpack(ctx, debs)
	if err != nil {
		return nil, err
	}
	k := &Kernel{Release: r.name, Series: r.series, Arch: r.arch, Depends: files.depends, Format: format}
	for _, deb := range debs {
		sum, err := digest(deb)
		if err != nil {
			return nil, err
		}
		k.Packages = append(k.Packages, Package{filepath.Base(deb), sum})
	}
	staged := filepath.Join(temp, "kernel")
	if err := files.write(staged); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return nil, err
	}
	place := c.folder(r.arch, r.name)
	err = errors.Join(os.WriteFile(filepath.Join(staged, kernelFile), append(text, '\n'), 0o644),
		os.MkdirAll(filepath.Dir(place), 0o755), os.RemoveAll(place))
	if err != nil {
		return nil, err
	}
	if err := os.Rename(staged, place); err != nil {
		return nil, err
	}
	return load(place)
}

func load(dir string) (*Kernel, error) {
	text, err := os.ReadFile(filepath.Join(dir, kernelFile))
	if err != nil {
		return nil, err
	}
	k := &Kernel{dir: dir}
	if err := json.Unmarshal(text, k); err != nil {
		return nil, fmt.Errorf("%s: %w: remove the folder, and fetch the kernel again", dir, err)
	}
	return k, nil
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lock keeps processes that fetch apart.
func (c *Cache) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	return sys.LockFile(ctx, filepath.Join(c.Dir, "lock"))
}
