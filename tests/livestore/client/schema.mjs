// A chat app with todos and a record of executed tasks: what the tests' users say, and what the plugins commit.
import { Events, makeSchema, Schema, State } from '@livestore/livestore'

export const events = {
  chatMessageSent: Events.synced({
    name: 'v1.ChatMessageSent',
    schema: Schema.Struct({
      id: Schema.String,
      role: Schema.String,
      text: Schema.optional(Schema.String),
      message: Schema.optional(Schema.String),
      conversationId: Schema.optional(Schema.String),
      createdAt: Schema.optional(Schema.Any),
    }),
  }),
  todoCreated: Events.synced({
    name: 'v1.TodoCreated',
    schema: Schema.Struct({ id: Schema.String, text: Schema.String }),
  }),
  todoCompleted: Events.synced({ name: 'v1.TodoCompleted', schema: Schema.Struct({ id: Schema.String }) }),
  taskExecuted: Events.synced({
    name: 'v1.TaskExecuted',
    schema: Schema.Struct({ id: Schema.String, task: Schema.String, result: Schema.String }),
  }),
}

const { boolean, text } = State.SQLite

export const tables = {
  messages: State.SQLite.table({
    name: 'messages',
    columns: { id: text({ primaryKey: true }), role: text({ default: 'user' }), text: text({ default: '' }) },
  }),
  todos: State.SQLite.table({
    name: 'todos',
    columns: { id: text({ primaryKey: true }), text: text({ default: '' }), completed: boolean({ default: false }) },
  }),
  tasks: State.SQLite.table({
    name: 'tasks',
    columns: { id: text({ primaryKey: true }), task: text({ default: '' }), result: text({ default: '' }) },
  }),
}

// A repeated id replaces its row, so that a doubled event shows in the log and does not break the app that reads it.
const materializers = State.SQLite.materializers(events, {
  'v1.ChatMessageSent': ({ id, role, text, message }) =>
    tables.messages.insert({ id, role, text: text ?? message ?? '' }).onConflict('id', 'replace'),
  'v1.TodoCreated': ({ id, text }) => tables.todos.insert({ id, text, completed: false }).onConflict('id', 'replace'),
  'v1.TodoCompleted': ({ id }) => tables.todos.update({ completed: true }).where({ id }),
  'v1.TaskExecuted': ({ id, task, result }) => tables.tasks.insert({ id, task, result }).onConflict('id', 'replace'),
})

export const schema = makeSchema({
  events,
  state: State.SQLite.makeState({ tables, materializers }),
  // Some test plugins commit events that no app knows.
  unknownEventHandling: { strategy: 'ignore' },
})
