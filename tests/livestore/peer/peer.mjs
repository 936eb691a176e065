// What teams run today, and what the bench compares with: N real LiveStore stores in one Node process. Each chat message
// of a user is answered with one v1.TaskExecuted.
//
//   node peer.mjs --url ws://… --prefix bench- --count 50
//
// Prints {"ready":N} when all stores are connected and caught up, and ends with its stdin.
import { parseArgs } from 'node:util'
import { openStore } from '../client/store.mjs'
import { events } from '../client/schema.mjs'

// Opening a store costs a good part of a CPU second; more at once only makes each slower.
const OPEN_AT_ONCE = 10

const { values } = parseArgs({
  options: { url: { type: 'string' }, prefix: { type: 'string' }, count: { type: 'string' } },
})
const count = Number(values.count)

const answerMessages = async (store) => {
  for await (const { name, args } of store.events({ filter: ['v1.ChatMessageSent'] }))
    if (name === 'v1.ChatMessageSent' && args.role === 'user')
      store.commit(events.taskExecuted({ id: `r-${args.id}`, task: args.text, result: 'ok' }))
}

let next = 0
const openSome = async () => {
  while (next < count) {
    const storeId = `${values.prefix}${next++}`
    const store = await openStore({ storeId, url: values.url, clientId: 'peer' })
    answerMessages(store).catch((error) => console.error(`${storeId}: ${error}`))
  }
}
await Promise.all(Array.from({ length: OPEN_AT_ONCE }, openSome))
globalThis.gc?.()
console.log(JSON.stringify({ ready: count }))

process.stdin.resume().on('close', () => process.exit(0))
