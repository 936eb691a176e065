// Says one thing in a store as a user of a LiveStore app, and prints the first answer.
//
//   node say.mjs --url ws://127.0.0.1:8787 --store kitchen "Is there soup?"
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import { events } from './schema.mjs'
import { openStore } from './store.mjs'

const { values, positionals } = parseArgs({
  options: { url: { type: 'string' }, store: { type: 'string' } },
  allowPositionals: true,
})
const text = positionals.join(' ')
const store = await openStore({ storeId: values.store, url: values.url, clientId: 'say' })
const id = randomUUID()
store.commit(events.chatMessageSent({ id, role: 'user', text }))

let asked = false
for await (const event of store.events({ filter: ['v1.ChatMessageSent'] })) {
  if (event.args.id === id) asked = true
  if (asked && event.args.role === 'assistant') {
    console.log(event.args.text ?? event.args.message)
    break
  }
}
process.exit(0)
