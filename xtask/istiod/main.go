// istiod as the bench measures it: Istio's own discovery server over a folder of YAML, without
// Kubernetes. The version is in go.mod.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"unsafe"

	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/krt"
	"istio.io/istio/pkg/kube/multicluster"
	"istio.io/istio/pkg/log"
)

// clusterID is what the nodes of the bench say.
const clusterID = cluster.ID("Kubernetes")

// anyPort is for what the bench does not ask.
const anyPort = "127.0.0.1:0"

func main() {
	config := flag.String("config", "", "the folder of YAML to serve")
	xds := flag.String("xds-address", "127.0.0.1:15010", "where to serve xDS in plaintext")
	flag.Parse()
	if err := run(*config, *xds); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(config, xds string) error {
	if config == "" {
		return fmt.Errorf("--config is needed")
	}
	logging := log.DefaultOptions()
	// A line for each push to each stream would be measured too.
	logging.SetDefaultOutputLevel(log.OverrideScopeName, log.WarnLevel)
	if err := log.Configure(logging); err != nil {
		return err
	}
	stop := make(chan struct{})
	args := bootstrap.NewPilotArgs(func(args *bootstrap.PilotArgs) {
		args.Namespace = "istio-system"
		args.RegistryOptions.FileDir = config
		args.RegistryOptions.KubeOptions.DomainSuffix = "cluster.local"
		args.RegistryOptions.KubeOptions.ClusterID = clusterID
		args.ServerOptions = bootstrap.DiscoveryServerOptions{
			HTTPAddr:       anyPort,
			MonitoringAddr: anyPort,
			GRPCAddr:       xds,
			TLSOptions:     bootstrap.TLSOptions{TLSMinVersion: bootstrap.TLSMinVersion1_2},
		}
	})
	if err := args.Complete(); err != nil {
		return err
	}
	clusters, err := noClusters(args.Namespace, args.KrtDebugger, stop)
	if err != nil {
		return err
	}
	server, err := bootstrap.NewServer(args, func(server *bootstrap.Server) {
		setClusters(server, clusters)
	})
	if err != nil {
		return err
	}
	if err := server.Start(stop); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	close(stop)
	server.WaitUntilCompletion()
	return nil
}

// noClusters gives a controller that knows of no cluster and is in sync with that. The controller of
// ServiceEntries asks it for workloads, and istiod makes one only where there is a Kubernetes.
func noClusters(
	namespace string,
	debugger *krt.DebugHandler,
	stop chan struct{},
) (*multicluster.Controller, error) {
	client := kube.NewFakeClient()
	options := krt.NewOptionsBuilder(stop, "mesh", debugger)
	controller := multicluster.NewController(multicluster.ControllerOptions{
		Client:          client,
		ClusterID:       clusterID,
		SystemNamespace: namespace,
		MeshConfig:      meshwatcher.ConfigAdapter(meshwatcher.NewCollection(options)),
		Debugger:        debugger,
	})
	if err := controller.Run(stop); err != nil {
		return nil, err
	}
	client.RunAndWait(stop)
	return controller, nil
}

// setClusters fills a field that nobody outside of the package can name.
func setClusters(server *bootstrap.Server, clusters *multicluster.Controller) {
	field := reflect.ValueOf(server).Elem().FieldByName("multiclusterController")
	pointer := (**multicluster.Controller)(unsafe.Pointer(field.UnsafeAddr()))
	*pointer = clusters
}
