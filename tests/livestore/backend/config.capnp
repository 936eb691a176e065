# How workerd runs the bundled worker. The address and the folder of the logs are given on its command line.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .sync),
    (name = "logs", disk = (writable = true)),
  ],
  sockets = [ (name = "http", http = (), service = "main") ],
);

const sync :Workerd.Worker = (
  modules = [ (name = "worker.js", esModule = embed "worker.js") ],
  compatibilityDate = "2025-05-07",
  compatibilityFlags = ["nodejs_compat", "enable_request_signal"],
  bindings = [
    (name = "SYNC_BACKEND_DO", durableObjectNamespace = "SyncBackendDO"),
    (name = "AUTH_TOKEN", fromEnvironment = "AUTH_TOKEN"),
  ],
  durableObjectNamespaces = [ (className = "SyncBackendDO", uniqueKey = "livestore-sync-cf", enableSql = true) ],
  durableObjectStorage = (localDisk = "logs"),
);
