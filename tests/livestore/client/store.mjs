// Opens real LiveStore stores in Node, and asks them what they know about their backend.
import { makeAdapter } from '@livestore/adapter-node'
import { createStorePromise, StoreInternalsSymbol } from '@livestore/livestore'
import { makeWsSync } from '@livestore/sync-cf/client'
import { Effect } from '@livestore/utils/effect'
import { schema } from './schema.mjs'

// Node before 22 has no WebSocket of its own, and the client needs one.
if (globalThis.WebSocket === undefined) globalThis.WebSocket = (await import('ws')).WebSocket

/** Opens one store, in memory, live with the backend at `url`. Resolves when it has pulled what is there. */
export const openStore = ({ storeId, url, clientId, authToken }) =>
  createStorePromise({
    schema,
    storeId,
    adapter: makeAdapter({
      storage: { type: 'in-memory' },
      clientId,
      sync: { backend: makeWsSync({ url }), initialSyncOptions: { _tag: 'Blocking', timeout: 30_000 } },
    }),
    disableDevtools: true,
    batchUpdates: (run) => run(),
    ...(authToken ? { syncPayload: { authToken } } : {}),
  })

/** Where the store stands with its backend. `store.syncStatus()` compares only session and leader, so ask the leader. */
export const statusOf = async (store) => {
  const leader = store[StoreInternalsSymbol].clientSession.leaderThread
  const state = await Effect.runPromise(leader.syncState)
  const network = await Effect.runPromise(leader.networkStatus)
  return {
    localHead: state.localHead.global,
    backendHead: state.upstreamHead.global,
    pending: state.pending.length + store.syncStatus().pendingCount,
    connected: network.isConnected,
  }
}
