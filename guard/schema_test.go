package guard

import (
	"encoding/json"
	"os"
	"testing"
)

// TestSchema: the schema of profiles has all rules, and no others.
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
	for _, i := range rules {
		if s.Properties.Rules.Properties[i.Rule] == nil {
			t.Errorf("the schema has no rule %s", i.Rule)
		}
		delete(s.Properties.Rules.Properties, i.Rule)
	}
	for r := range s.Properties.Rules.Properties {
		t.Errorf("there is no rule %s", r)
	}
}
