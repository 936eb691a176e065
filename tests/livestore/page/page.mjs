// The chat page's keeper, on LiveStore as an app has it: the web adapter with a database of its own in the browser (OPFS),
// which all tabs share. The face around it is that of the hand-sized page, host/src/http/demo/index.html.
import { makePersistedAdapter } from '@livestore/adapter-web'
import { createStorePromise, makeShutdownDeferred, queryDb, StoreInternalsSymbol } from '@livestore/livestore'
import { Effect, Stream } from '@livestore/utils/effect'
import { events, schema, tables } from '../client/schema.mjs'

/* global face */

// Workers get their names, and with them their stores, from the adapter; where to sync with is told in the address.
const beside = (file) => new URL(file, import.meta.url)
const withSync = (url) => Object.assign(url, { search: new URLSearchParams({ sync: face.sync }) })

const adapter = makePersistedAdapter({
  storage: { type: 'opfs' },
  // When a log was replaced by another, LiveStore empties its database, and the fast path takes that for a broken one.
  experimental: { disableFastPath: true },
  worker: ({ name }) => new Worker(withSync(beside('worker.js')), { name, type: 'module' }),
  sharedWorker: ({ name }) => new SharedWorker(beside('shared-worker.js'), { name, type: 'module' }),
})

// Longer than LiveStore takes to close its database in all tabs.
const RELOAD_MS = 2_000

const run = (effect) => Effect.runPromise(effect).catch((error) => face.state('failed', String(error)))

const open = async () => {
  const shutdownDeferred = await Effect.runPromise(makeShutdownDeferred)
  const store = await createStorePromise({
    schema,
    storeId: face.store,
    adapter,
    shutdownDeferred,
    disableDevtools: true,
    confirmUnsavedChanges: false,
    batchUpdates: (run) => run(),
  })
  face.how('This page is a LiveStore app; it keeps its data in this browser.')
  face.onSay = (text) => store.commit(events.chatMessageSent({ id: crypto.randomUUID(), role: 'user', text }))
  store.subscribe(queryDb(tables.messages), face.show)

  // `store.syncStatus()` compares only this tab and its leader, so ask the leader, which talks to the backend.
  const { leaderThread } = store[StoreInternalsSymbol].clientSession
  let connected = false
  let unsent = 0
  const showState = () => {
    const state = connected ? 'live' : 'offline'
    face.state(state, unsent > 0 ? `${state}, ${unsent} to send` : state)
  }
  const watch = (source, note) =>
    run(Stream.runForEach(source.changes, (next) => Effect.sync(() => (note(next), showState()))))
  watch(store.networkStatus, ({ isConnected }) => (connected = isConnected))
  watch(leaderThread.syncState, ({ pending }) => (unsent = pending.length))

  // The log was replaced by another, and LiveStore is dropping what it had of the old one; then it can begin anew.
  run(shutdownDeferred).finally(() => setTimeout(() => location.reload(), RELOAD_MS))
}

open().catch((error) => face.state('failed', String(error)))
