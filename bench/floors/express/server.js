// A webhook receiver as one writes it by hand: Express, a pool of eight, one INSERT per request. Verifies nothing.
import express from "express";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.argv[2], max: 8 });
await pool.query(
  "CREATE TABLE inbox (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, headers TEXT NOT NULL, body BYTEA NOT NULL)",
);

const app = express();
app.disable("x-powered-by");
app.post("/hook", express.raw({ type: "*/*", limit: "1mb" }), async (request, response) => {
  try {
    await pool.query({
      name: "insert",
      text: "INSERT INTO inbox (headers, body) VALUES ($1, $2)",
      values: [JSON.stringify(request.headers), request.body],
    });
    response.status(200).end();
  } catch {
    response.status(503).end();
  }
});

const server = app.listen(0, "127.0.0.1", () => {
  const { address, port } = server.address();
  // The clients sign as for all others; nobody looks at it here.
  console.log(`ready ${address}:${port} /hook whsec_${Buffer.alloc(32, 1).toString("base64")}`);
});
