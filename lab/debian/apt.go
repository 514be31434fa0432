package debian

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// suites are where kernels come from: releases of Debian and their backports.
var suites = []string{"bookworm", "bookworm-backports", "trixie", "trixie-backports"}

// keyring is what Debian's archives are signed with.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// apt runs apt with a configuration, lists and a cache in a folder of its own.
type apt struct{ dir string }

// newApt sets a private apt up, on the mirror that this machine's own apt uses.
func newApt(ctx context.Context, dir string) (*apt, error) {
	mirror, err := mirror(ctx)
	if err != nil {
		return nil, err
	}
	var sources strings.Builder
	for _, suite := range suites {
		fmt.Fprintf(&sources, "deb [signed-by=%s arch=amd64,arm64] %s %s main\n", keyring, mirror, suite)
	}
	for _, folder := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, err
		}
	}
	a := &apt{dir}
	for name, text := range map[string]string{"sources.list": sources.String(), "apt.conf": a.configuration()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *apt) configuration() string {
	lines := []string{
		`Dir::State "` + a.dir + `";`,
		`Dir::State::Lists "` + a.dir + `/lists";`,
		`Dir::Cache "` + a.dir + `/cache";`,
		`Dir::Etc::SourceList "` + a.dir + `/sources.list";`,
		`Dir::Etc::SourceParts "/dev/null";`,
		`Dir::Etc::Preferences "/dev/null";`,
		`Dir::Etc::PreferencesParts "/dev/null";`,
		`Acquire::Languages "none";`,
		`Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";`,
		`APT::Sandbox::User "";`, // the folder may be one that only this user can enter
	}
	return strings.Join(lines, "\n") + "\n"
}

// mirror returns the address of Debian's archive in the machine's own package sources.
func mirror(ctx context.Context) (string, error) {
	text, err := output(exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(SUITE)|$(ORIGIN)", "Created-By: Packages"))
	if err != nil {
		return "", err
	}
	return parseMirror(string(text))
}

func parseMirror(targets string) (string, error) {
	for line := range strings.Lines(targets) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) == 5 && f[2] == "main" && f[4] == "Debian" && !strings.Contains(f[1], "-") {
			return f[0], nil
		}
	}
	return "", fmt.Errorf("this machine's apt knows no archive of Debian, or has no list of it yet: run \"apt-get update\" once; on another system, get the packages elsewhere and name them with --deb")
}

// update gets the lists of packages.
func (a *apt) update(ctx context.Context) error {
	_, err := output(a.command(ctx, a.dir, "apt-get", "-qq", "update"))
	return err
}

// images returns the names of all kernel packages.
func (a *apt) images(ctx context.Context) ([]string, error) {
	text, err := output(a.command(ctx, a.dir, "apt-cache", "pkgnames", "linux-image-"))
	return strings.Fields(string(text)), err
}

// parts returns the packages that a kernel consists of: before Linux 6.19 one, then
// several, on which linux-image depends. missing are those that the archive has no more.
func (a *apt) parts(ctx context.Context, r release) (parts, missing []string, err error) {
	text, err := output(a.command(ctx, a.dir, "apt-cache", "depends", r.pkg+":"+r.arch))
	if err != nil {
		return nil, nil, err
	}
	parts, missing = parseDepends(string(text), r)
	return parts, missing, nil
}

func parseDepends(text string, r release) (parts, missing []string) {
	parts = []string{r.pkg}
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
		name, _, _ = strings.Cut(name, ":") // an architecture
		if !ok || !strings.HasSuffix(strings.Trim(name, "<>"), "-"+r.name) {
			continue
		}
		if strings.HasPrefix(name, "<") { // apt's sign for a name without a package
			missing = append(missing, strings.Trim(name, "<>"))
		} else if !slices.Contains(parts, name) {
			parts = append(parts, name)
		}
	}
	return parts, missing
}

// download gets packages into a folder, and returns their files. apt checks them against
// the signed lists.
func (a *apt) download(ctx context.Context, dir, arch string, pkgs []string) ([]string, error) {
	args := []string{"-qq", "download"}
	for _, pkg := range pkgs {
		args = append(args, pkg+":"+arch)
	}
	if _, err := output(a.command(ctx, dir, "apt-get", args...)); err != nil {
		return nil, err
	}
	var files []string
	for _, pkg := range pkgs {
		found, err := filepath.Glob(filepath.Join(dir, pkg+"_*_"+arch+".deb"))
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("apt said that it downloaded %s, and %d files are there", pkg, len(found))
		}
		files = append(files, found[0])
	}
	return files, nil
}

func (a *apt) command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"), "LC_ALL=C", "LANGUAGE=")
	return cmd
}

// output runs a command; the error says what the command said.
func output(cmd *exec.Cmd) ([]byte, error) {
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[:min(2, len(cmd.Args))], " "), err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.Bytes(), nil
}
