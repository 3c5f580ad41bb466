//go:build tools

// Package tools names the command that is built, so that go.mod and go.sum pin all that it is made of.
package tools

import _ "github.com/grafana/tempo/cmd/tempo"
