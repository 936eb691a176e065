// Many real LiveStore stores in one process, driven by JSON lines: requests on stdin, answers and news on stdout.
//
//   {"id":1,"op":"open","store":"s","url":"ws://…","client":"alice","token":"…"?}    → {"id":1,"ok":{}}
//   {"id":2,"op":"commit","store":"s","events":[{"name":"v1.ChatMessageSent","args":{…}}]}  → {"id":2,"ok":{}}
//   {"id":3,"op":"status","store":"s"}  → {"id":3,"ok":{"localHead","backendHead","pending","connected"}}
//   {"id":4,"op":"rows","store":"s","table":"messages"}  → {"id":4,"ok":[…]}
//   {"id":5,"op":"close","store":"s"}   → {"id":5,"ok":{}}
//
// A refused request answers {"id":…,"error":"…"}. Each event that a store takes in from its backend, its own
// included, is told as {"event":{"store","seqNum","name","args","clientId","sessionId"}}. The process ends with its stdin.
import { createInterface } from 'node:readline'
import { openStore, statusOf } from './store.mjs'
import { events, tables } from './schema.mjs'

// stdout carries the protocol; what LiveStore has to say goes to stderr.
for (const level of ['log', 'info', 'debug']) console[level] = console.error

const stores = new Map()
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const byName = new Map(Object.values(events).map((event) => [event.name, event]))

const storeOf = ({ store }) => {
  const found = stores.get(store)
  if (found === undefined) throw new Error(`store ${store} is not open`)
  return found
}

const tellEvents = async (id, store) => {
  for await (const { seqNum, name, args, clientId, sessionId } of store.events())
    say({ event: { store: id, seqNum: seqNum?.global ?? seqNum, name, args, clientId, sessionId } })
}

const operations = {
  open: async ({ store: storeId, url, client: clientId, token: authToken }) => {
    const store = await openStore({ storeId, url, clientId, authToken })
    stores.set(storeId, store)
    tellEvents(storeId, store).catch((error) => {
      // A closed store ends its stream; anything else is news.
      if (stores.get(storeId) === store) say({ failed: { store: storeId, error: String(error) } })
    })
    return {}
  },
  commit: async (request) => {
    const store = storeOf(request)
    store.commit(...request.events.map(({ name, args }) => byName.get(name)(args)))
    return {}
  },
  status: async (request) => statusOf(storeOf(request)),
  rows: async (request) => storeOf(request).query(tables[request.table]),
  close: async (request) => {
    const store = storeOf(request)
    stores.delete(request.store)
    await store.shutdownPromise()
    return {}
  },
}

const answer = async (line) => {
  const request = JSON.parse(line)
  try {
    const operation = operations[request.op]
    if (operation === undefined) throw new Error(`unknown op ${request.op}`)
    say({ id: request.id, ok: await operation(request) })
  } catch (error) {
    say({ id: request.id, error: String(error?.stack ?? error) })
  }
}

createInterface({ input: process.stdin })
  .on('line', answer)
  .on('close', () => process.exit(0))
