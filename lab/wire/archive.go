package wire

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Pack adds a file, or a directory and all below it, to an archive, under its own
// absolute path. leave says which paths to leave out, with all below them; it may be nil.
// What is no file, directory or symbolic link is left out.
func Pack(archive *tar.Writer, path string, leave func(path string, d fs.DirEntry) bool) error {
	return filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if leave != nil && leave(name, d) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return packOne(archive, name, d)
	})
}

func packOne(archive *tar.Writer, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}
	switch info.Mode().Type() {
	case fs.ModeDir:
		header.Typeflag = tar.TypeDir
		return archive.WriteHeader(header)
	case fs.ModeSymlink:
		header.Typeflag = tar.TypeSymlink
		if header.Linkname, err = os.Readlink(name); err != nil {
			return err
		}
		return archive.WriteHeader(header)
	case 0:
		header.Typeflag = tar.TypeReg
		header.Size = info.Size()
	default:
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	// A file that shrank meanwhile is an error of Close; one that grew is cut.
	_, err = io.CopyN(archive, file, header.Size)
	return err
}

// Unpack lays an archive out below root. allow says which absolute paths may be written;
// nil allows all. Where it is given, symbolic links are refused: one that the archive
// brought could lead to a place that is not allowed.
func Unpack(r io.Reader, root string, allow func(path string) bool) error {
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			_, err := io.Copy(io.Discard, r) // padding behind the end
			return err
		}
		if err != nil {
			return err
		}
		name := filepath.Clean("/" + header.Name)
		if allow != nil && (!allow(name) || header.Typeflag == tar.TypeSymlink) {
			return fmt.Errorf("the archive has %s (type %q), which was not asked for", name, header.Typeflag)
		}
		if err := unpackOne(archive, header, filepath.Join(root, name)); err != nil {
			return err
		}
	}
}

func unpackOne(content io.Reader, header *tar.Header, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	perm := fs.FileMode(header.Mode).Perm()
	switch header.Typeflag {
	case tar.TypeDir:
		if err := os.Mkdir(path, perm|0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeSymlink:
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(header.Linkname, path)
	case tar.TypeReg:
	default:
		return fmt.Errorf("%s: an archive of files, directories and links has an entry of type %q", path, header.Typeflag)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		file.Close()
		return err
	}
	return errors.Join(file.Chmod(perm), file.Close())
}
