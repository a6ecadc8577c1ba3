// A real kube-apiserver, compiled from its modules: what Kubernetes' own cmd/kube-apiserver does, which cannot be built from
// outside because its go.mod replaces the modules of its staging folder. Ours names their published versions instead.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
