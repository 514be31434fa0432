package compare

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoMarkers reports a page that has no place for a table.
var ErrNoMarkers = errors.New("the page has no such markers")

// Splice puts text between the markers of an id, in place of what is there; all the rest of
// the page stays. The markers are <!-- bench ID --> and <!-- end of bench ID -->.
func Splice(page, id, text string) (string, error) {
	begin, end := fmt.Sprintf("<!-- bench %s -->\n", id), fmt.Sprintf("<!-- end of bench %s -->", id)
	before, rest, ok := strings.Cut(page, begin)
	_, after, too := strings.Cut(rest, end)
	if !ok || !too {
		return "", fmt.Errorf("%w: %q and %q", ErrNoMarkers, strings.TrimSpace(begin), end)
	}
	return before + begin + text + end + after, nil
}
