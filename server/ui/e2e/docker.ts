// The whole system as the README describes it, in a real Docker daemon: the images of the
// server and the agent, and containers whose program reports what it does.

import { execFile, execFileSync } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";

const HERE = `bubble-e2e-${process.pid}`;

/** The workload's report, see xtask/workload/src/truth.rs. */
export interface Truth {
  files: { path: string; read: Flow; written: Flow; opens: number }[];
  connections: { local: string; peer: string; received: Flow; sent: Flow }[];
  processes: { args: string[]; cpu_ns: number | null }[];
  pulses: { at_ns: number; path: string }[];
}
export interface Flow {
  bytes: number;
  operations: number;
}

export function docker(...args: string[]): string {
  try {
    return execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  } catch (error) {
    throw new Error(`docker ${args.join(" ")}: ${(error as { stderr?: string }).stderr ?? error}`);
  }
}

/** A container of the workload. */
export class Container {
  private constructor(private readonly full: string) {}

  static create(...work: string[]): Container {
    return new Container(docker("create", "bubble-workload", ...work));
  }

  /** The server's id of the container. */
  get id(): string {
    return this.full.slice(0, 12);
  }

  get address(): string {
    return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", this.full);
  }

  /** Starts it, waits for its end, and returns what it printed. */
  run(): Promise<{ truth: Truth; code: number }> {
    return new Promise((resolve, reject) => {
      execFile("docker", ["start", "--attach", this.full], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code !== "number" || stdout === "") reject(new Error(`the workload exited with ${code}: ${stderr}`));
        else resolve({ truth: JSON.parse(stdout) as Truth, code });
      });
    });
  }

  /** Waits until it listens. */
  async listening(): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt++) {
      const logs = execFileSync("sh", ["-c", `docker logs ${this.full} 2>&1`], { encoding: "utf8" });
      if (logs.includes("listening on")) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("the workload does not listen");
  }

  remove(): void {
    docker("rm", "--force", this.full);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const listener = createServer().once("error", reject);
    listener.listen(0, "127.0.0.1", () => {
      const { port } = listener.address() as AddressInfo;
      listener.close(() => resolve(port));
    });
  });
}

/** Server and agent, each in a container. The store is SQLite or BUBBLE_STORE. */
export class System {
  private readonly server = `${HERE}-server`;
  private readonly agent = `${HERE}-agent`;
  url = "";

  async start(): Promise<void> {
    // Cassandra's nodes listen on the host's loopback addresses, so server and agent use the host's network.
    const store = process.env.BUBBLE_STORE ?? "";
    const network = store === "" ? [] : ["--network", "host"];
    if (store === "") {
      docker("run", "--detach", "--name", this.server, "--publish", "127.0.0.1::8080", "bubble-server");
      this.url = `http://${docker("port", this.server, "8080/tcp").split("\n")[0]}`;
    } else {
      const listen = `127.0.0.1:${await freePort()}`;
      const settings = [...network, "--env", `BUBBLE_STORE=${store}`, "--env", `BUBBLE_LISTEN=${listen}`];
      docker("run", "--rm", ...settings, "bubble-server", "db", "init", "--replication", "1");
      docker("run", "--detach", "--name", this.server, ...settings, "bubble-server");
      this.url = `http://${listen}`;
    }
    const key = this.exec("key", "create", "--owner", "me");
    const address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", this.server);
    const server = store === "" ? `http://${address}:8080` : this.url;
    const run = (...privileges: string[]): string =>
      docker("run", "--detach", "--name", this.agent, ...network, ...privileges, "--pid", "host",
        "--volume", "/var/run/docker.sock:/var/run/docker.sock",
        "bubble-agent", "--server", server, "--api", key, "--beside-others");
    try {
      run("--privileged");
    } catch (error) {
      // dockerd cannot grant a capability that it lacks itself, as on some hosts.
      const why = /docker: Error .*operation not permitted.*/.exec(String(error));
      if (why === null) throw error;
      console.log(`this host refuses --privileged (${why[0]}): using all capabilities but SYS_RESOURCE`);
      docker("rm", "--force", this.agent);
      run("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined");
    }
    await this.waitForAgent();
  }

  /** Waits for the agent's first report. It does not count what ran before. */
  private async waitForAgent(): Promise<void> {
    const headers = { authorization: `Bearer ${this.token("--admin")}` };
    for (let attempt = 0; attempt < 900; attempt++) {
      const answer = await fetch(`${this.url}/api/v1/hosts`, { headers }).catch(() => null);
      if (answer?.ok && ((await answer.json()) as { hosts: unknown[] }).hosts.length > 0) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the agent has not reported to the server; their logs:\n${this.logs()}`);
  }

  token(...of: string[]): string {
    return this.exec("token", ...of);
  }

  /** The latest logs of both, for error messages. */
  logs(): string {
    return [this.server, this.agent].map((name) => execFileSync("sh", ["-c", `docker logs --tail 20 ${name} 2>&1`], { encoding: "utf8" })).join("\n");
  }

  stop(): void {
    for (const name of [this.agent, this.server]) {
      try {
        docker("rm", "--force", "--volumes", name);
      } catch {
        // It had not been started.
      }
    }
  }

  private exec(...args: string[]): string {
    return docker("exec", this.server, "/bubble-server", ...args);
  }
}
