package vm

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// monitor speaks QMP, QEMU's machine protocol, on its monitor.
// Source: docs/interop/qmp-spec.rst of QEMU.
type monitor struct {
	file    *os.File
	decoder *json.Decoder
}

// openMonitor waits for QEMU's greeting. By then QEMU has opened all its files.
func openMonitor(file *os.File, patience time.Duration) (*monitor, error) {
	m := &monitor{file, json.NewDecoder(file)}
	if err := file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var greeting map[string]any
	if err := m.decoder.Decode(&greeting); err != nil {
		return nil, fmt.Errorf("QEMU's monitor does not greet: %w", err)
	}
	return m, m.do("qmp_capabilities", nil, nil)
}

// do executes a command and waits for its answer.
func (m *monitor) do(command string, arguments map[string]any, answer any) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := m.file.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("QEMU's monitor: %s: %w", command, err)
	}
	for {
		var reply struct {
			Event  string          `json:"event"`
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := m.decoder.Decode(&reply); err != nil {
			return fmt.Errorf("QEMU's monitor: %s: %w", command, err)
		}
		switch {
		case reply.Event != "":
		case reply.Error != nil:
			return fmt.Errorf("QEMU's monitor: %s: %s", command, reply.Error.Desc)
		case answer != nil:
			return json.Unmarshal(reply.Return, answer)
		default:
			return nil
		}
	}
}

// migrate saves (migrate) or loads (migrate-incoming) the state of the devices; memory
// that is shared with a file stays in the file.
func (m *monitor) migrate(command, uri string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	if err := m.file.SetReadDeadline(deadline); err != nil {
		return err
	}
	ignoreShared := []map[string]any{{"capability": "x-ignore-shared", "state": true}}
	if err := m.do("migrate-set-capabilities", map[string]any{"capabilities": ignoreShared}, nil); err != nil {
		return err
	}
	if err := m.do(command, map[string]any{"uri": uri}, nil); err != nil {
		return err
	}
	for {
		var info struct {
			Status string `json:"status"`
			Desc   string `json:"error-desc"`
		}
		if err := m.do("query-migrate", nil, &info); err != nil {
			return err
		}
		switch info.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("QEMU: %s %s: %s", command, info.Status, info.Desc)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("QEMU: %s is not done after %v: %s", command, patience, info.Status)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
