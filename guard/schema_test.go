package guard

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestSchema: the schemas have all rules, and that of profiles no others.
func TestSchema(t *testing.T) {
	text, err := os.ReadFile("../docs/schema/profile-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Properties struct {
			Rules struct {
				Properties map[Rule]any `json:"properties"`
			} `json:"rules"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	launch, err := os.ReadFile("../docs/schema/launch-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range rules {
		if !strings.Contains(string(launch), `"`+string(i.Rule)+`"`) {
			t.Errorf("the schema of launches has no rule %s", i.Rule)
		}
		if s.Properties.Rules.Properties[i.Rule] == nil {
			t.Errorf("the schema has no rule %s", i.Rule)
		}
		delete(s.Properties.Rules.Properties, i.Rule)
	}
	for r := range s.Properties.Rules.Properties {
		t.Errorf("there is no rule %s", r)
	}
}
