package mglru

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrNoGroup: no memory cgroup has that path, or it is on no such node.
var ErrNoGroup = errors.New("no such memory cgroup")

// EveryNode is [Scope.Node] for all of them.
const EveryNode = -1

// Scope says which groups, and which nodes of them.
type Scope struct {
	// Path is that of a group in its hierarchy, as in [Memcg.Path]; "/" is the root, which
	// holds what is in no other group.
	Path string
	// Below: and the groups below it.
	Below bool
	// Node is a NUMA node, or [EveryNode].
	Node int
}

// WholeHost is every group.
func WholeHost() Scope { return Scope{Path: "/", Below: true, Node: EveryNode} }

// Root reports whether it begins at the root of all groups.
func (s Scope) Root() bool { return rooted(s.Path) == "/" }

// Choose returns those of the list that are in the scope. Where there are none, [ErrNoGroup].
// A group that was removed, and still is shown, is none: it has no number any more, and one of the
// same path may have come after it.
func (s Scope) Choose(list []Memcg) ([]Memcg, error) {
	top := rooted(s.Path)
	chosen := []Memcg{}
	for _, m := range list {
		at := rooted(m.Path)
		if m.ID == 0 && at != "/" { // without memory cgroups all is in a root of that number
			continue
		}
		if at != top && (!s.Below || !strings.HasPrefix(at, strings.TrimSuffix(top, "/")+"/")) {
			continue
		}
		m.Nodes = slices.DeleteFunc(slices.Clone(m.Nodes), func(n Node) bool { return s.Node != EveryNode && n.ID != s.Node })
		if len(m.Nodes) > 0 {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: %s%s", ErrNoGroup, top, s.onNode())
	}
	return chosen, nil
}

func (s Scope) onNode() string {
	if s.Node == EveryNode {
		return ""
	}
	return fmt.Sprintf(" on node %d", s.Node)
}

// rooted is a path from the root of the hierarchy.
func rooted(p string) string { return path.Clean("/" + p) }
