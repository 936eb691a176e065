// The leader of a browser's tabs: has the database, and syncs with the backend that its address names.
import { makeWorker } from '@livestore/adapter-web/worker'
import { makeWsSync } from '@livestore/sync-cf/client'
import { schema } from '../client/schema.mjs'

const url = new URLSearchParams(self.location.search).get('sync')

makeWorker({ schema, sync: { backend: makeWsSync({ url }) } })
