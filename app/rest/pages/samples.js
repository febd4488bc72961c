// A call as a program, in the languages of clients. Each uses only its standard library.

// The place of the credential in a call.
export const TOKEN = Symbol("token");

const indented = (text, margin) => text.replaceAll("\n", `\n${margin}`);
const json = (value, token) =>
  JSON.stringify(value, (_, inner) => (inner === TOKEN ? "\0" : inner), 2).replaceAll('"\\u0000"', token);

// Returns a function that writes values as literals of a language.
function literals({ unit, text, array, object, words, token }) {
  const write = (value, margin = "") => {
    if (value === TOKEN) return token;
    if (typeof value === "string") return text(value);
    if (value === null || typeof value !== "object") return words?.[value] ?? String(value);
    const lines = Array.isArray(value)
      ? value.map((item) => write(item, margin + unit))
      : Object.entries(value).map(([name, item]) => object.member(text(name), write(item, margin + unit)));
    const { open, close, empty } = Array.isArray(value) ? array : object;
    return lines.length ? `${open}\n${lines.map((line) => `${margin}${unit}${line},\n`).join("")}${margin}${close}` : empty;
  };
  return write;
}

const inPython = literals({
  unit: "    ", text: JSON.stringify, token: 'os.environ["TOKEN"]', words: { null: "None", true: "True", false: "False" },
  array: { open: "[", close: "]", empty: "[]" },
  object: { open: "{", close: "}", empty: "{}", member: (name, value) => `${name}: ${value}` },
});
const inPhp = literals({
  unit: "    ", token: "getenv('TOKEN')",
  text: (value) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`,
  array: { open: "[", close: "]", empty: "[]" },
  // An empty array would be sent as [].
  object: { open: "[", close: "]", empty: "(object) []", member: (name, value) => `${name} => ${value}` },
});
const inGo = literals({
  unit: "\t", text: JSON.stringify, token: 'os.Getenv("TOKEN")', words: { null: "nil" },
  array: { open: "[]any{", close: "}", empty: "[]any{}" },
  object: { open: "map[string]any{", close: "}", empty: "map[string]any{}", member: (name, value) => `${name}: ${value}` },
});

function curl(url, call) {
  // The shell replaces $TOKEN only outside of single quotes.
  const data = json(call, "\0").replaceAll("'", `'\\''`).replaceAll("\0", `"'"$TOKEN"'"`);
  return `curl -s '${url}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${data}'`;
}

const python = (url, call, token) => `\
import json
${token ? "import os\n" : ""}import urllib.request

call = ${inPython(call)}
request = urllib.request.Request(
    "${url}",
    data=json.dumps(call).encode(),
    headers={"Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=30) as response:
    print(response.read().decode())`;

const javascript = (url, call) => `\
const call = ${json(call, "process.env.TOKEN")};
const response = await fetch("${url}", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(call),
});
console.log(await response.text());`;

const php = (url, call) => `\
<?php
$call = ${inPhp(call)};
$context = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/json',
    'content' => json_encode($call),
    'timeout' => 30,
    'ignore_errors' => true,
]]);
echo file_get_contents('${url}', false, $context), "\\n";`;

const go = (url, call) => `\
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	call := ${indented(inGo(call), "\t")}
	body, err := json.Marshal(call)
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.Post("${url}", "application/json", bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}`;

const java = (url, call, token) => `\
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Call {
    public static void main(String[] args) throws Exception {
        String call = """
            ${indented(json(call, '"$TOKEN"').replaceAll("\\", "\\\\"), " ".repeat(12))}
            """${token ? '.replace("$TOKEN", System.getenv("TOKEN"))' : ""};
        HttpRequest request = HttpRequest.newBuilder(URI.create("${url}"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(call))
            .build();
        HttpResponse<String> response = HttpClient.newHttpClient()
            .send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(response.body());
    }
}`;

// By name: the program that sends `call` to `url`, and how to run it. `token`: it contains TOKEN.
export const LANGUAGES = {
  curl: { program: curl },
  Python: { program: python, run: "python3 call.py" },
  JavaScript: { program: javascript, run: "node call.mjs" },
  PHP: { program: php, run: "php call.php" },
  Go: { program: go, run: "go run call.go" },
  Java: { program: java, run: "java Call.java" },
};
