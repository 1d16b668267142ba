// Never run: `tsc` proves that the generated types tell frames, replies and operations apart as an app needs it.
import type {
  ClientCommand,
  CommandReplies,
  ErrorCode,
  Message,
  Operations,
  ReplyFrame,
  ServerFrame,
} from "../../clients/typescript/types";

export function text(frame: ServerFrame): string {
  switch (frame.type) {
    case "message.created":
      return `${frame.seq} ${frame.conversation_id} ${frame.data.content}`;
    case "reaction.added":
      return frame.data.reaction.emoji + frame.data.content;
    case "typing":
      return frame.data.user.display_name;
    case "changes":
      return String(frame.changes.length);
    case "connected":
      return frame.data.epoch;
    case "reply":
      return frame.ok ? "done" : frame.error.code;
    default:
      return frame.type;
  }
}

export function said(message: Message): string {
  return message.system?.type === "participant.added" ? message.system.users[0]!.username : message.content;
}

export const send: ClientCommand = { type: "message.send", ref: "1", conversation_id: "c", client_id: "k", content: "hi" };

export function sent(reply: ReplyFrame<CommandReplies["message.send"]>): number | ErrorCode {
  return reply.ok ? reply.data.number : reply.error.code;
}

export const body: Operations["create_conversation"]["body"] = { kind: "group", title: "Launch" };
export const query: Operations["list_conversations"]["query"] = { kind: "direct", unread: true, limit: 50 };
export const list: Operations["list_conversations"]["response"] = { items: [], next_cursor: null };

// @ts-expect-error There is no such command.
export const wrong: ClientCommand = { type: "message.shout", ref: "1" };
// @ts-expect-error `kind` is required.
export const missing: Operations["create_conversation"]["body"] = { title: "Launch" };
// @ts-expect-error A reply that was refused has no data.
export const refused = (reply: ReplyFrame<Message>) => reply.data;
