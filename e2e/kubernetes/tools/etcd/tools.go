//go:build tools

// Package tools pins the version of etcd, whose own go.mod rules out `go install` by version.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
)
