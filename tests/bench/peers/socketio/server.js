// A chat server on Socket.IO, written as its documentation shows: a room for each conversation, the Redis adapter, and
// each message stored in Postgres before it is delivered. Starling is measured beside it (`peers` of `make bench`).
//
// It keeps the limit server's promise (see ../../src/server/mod.rs): `ROOM TEXT` goes to all members of the room as
// `ROOM NUMBER TEXT`. Authentication, who may write, histories and reconnects are left out.
//
// DATABASE_URL and REDIS_URL say where those are. Prints `listening on 127.0.0.1:PORT`; SIGTERM ends it.

import { createServer } from "node:http";

import { createAdapter } from "@socket.io/redis-adapter";
import pg from "pg";
import { createClient } from "redis";
import { Server } from "socket.io";

// As many connections as a node of Starling has.
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 16 });
await pool.query(`
  CREATE TABLE IF NOT EXISTS rooms (id text PRIMARY KEY, last bigint NOT NULL);
  CREATE TABLE IF NOT EXISTS messages (
    room text NOT NULL, number bigint NOT NULL, content text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, number));
  TRUNCATE rooms, messages`);

const publisher = createClient({ url: process.env.REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, {
  adapter: createAdapter(publisher, subscriber),
  transports: ["websocket"],
  // Sockets that lie idle are measured without heartbeats; so is Starling, which asks after 25 s.
  pingInterval: 300_000,
});

const store = {
  name: "store",
  text: `WITH numbered AS (
           INSERT INTO rooms (id, last) VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET last = rooms.last + 1 RETURNING last)
         INSERT INTO messages (room, number, content) SELECT $1, last, $2 FROM numbered RETURNING number`,
};

io.on("connection", (socket) => {
  const rooms = String(socket.handshake.query.rooms).split(",");
  socket.join(rooms);
  socket.on("send", async (line) => {
    const space = line.indexOf(" ");
    const [room, text] = [line.slice(0, space), line.slice(space + 1)];
    try {
      const { rows } = await pool.query({ ...store, values: [room, text] });
      io.to(room).emit("message", `${room} ${rows[0].number} ${text}`);
    } catch (error) {
      // The driver counts it as lost.
      console.error(error);
    }
  });
});

http.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${http.address().port}`));
process.on("SIGTERM", () => process.exit(0));
