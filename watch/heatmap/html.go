package heatmap

import (
	_ "embed" // the page
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

// WriteHTML writes a page that needs nothing else: the picture can be zoomed and moved,
// each cell says its value, and the scale can be set, so that pictures can be compared.
func (m *Map) WriteHTML(w io.Writer) error {
	page, err := template.New("heatmap").Parse(pageText)
	if err != nil {
		return err
	}
	var shades []string
	for _, c := range colours {
		shades = append(shades, hexColour(c))
	}
	return page.Execute(w, map[string]any{"Title": m.Title(), "Subtitle": m.subtitle(), "Scale": m.scaleText(), "Report": m.Report(), "Colours": shades,
		"Unknown": hexColour(unknownColour), "Time": timeAxis, "Address": addressAxis})
}
