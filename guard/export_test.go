package guard

// Skip has rules not applied.
func (c *Config) Skip(rules ...Rule) { c.skip = rules }
