// Reads LogQL expressions, one JSON string a line, and says of each whether Loki's own parser takes it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/loki/v3/pkg/logql/syntax"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	failed := false
	for in.Scan() {
		var text string
		if err := json.Unmarshal(in.Bytes(), &text); err != nil {
			panic(err)
		}
		if _, err := syntax.ParseSampleExpr(text); err != nil {
			failed = true
			fmt.Printf("%s: %v\n", text, err)
		}
	}
	if failed {
		os.Exit(1)
	}
}
