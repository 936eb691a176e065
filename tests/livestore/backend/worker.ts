// The sync backend as LiveStore publishes it, unmodified: one Durable Object per store, its log in that object's SQLite.
// The same source is bundled against each version of the package that is tested.
import { makeDurableObject, makeWorker } from '@livestore/sync-cf/cf-worker'

export class SyncBackendDO extends makeDurableObject({ forwardHeaders: ['authorization'] }) {}

// With AUTH_TOKEN set, a connection must carry it as `payload.authToken` or as a bearer token.
const authorize = (env: any, payload: any, headers: any) => {
  if (!env.AUTH_TOKEN) return
  if (payload?.authToken === env.AUTH_TOKEN) return
  if (headers.get('authorization') === `Bearer ${env.AUTH_TOKEN}`) return
  throw new Error('Unauthorized')
}

export default {
  fetch: (request: any, env: any, context: any) =>
    makeWorker<any>({
      syncBackendBinding: 'SYNC_BACKEND_DO',
      enableCORS: true,
      validatePayload: (payload: any, { headers }: any) => authorize(env, payload, headers),
    }).fetch(request, env, context),
}
