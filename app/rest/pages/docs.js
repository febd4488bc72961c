// What Swagger UI is to show, and how. A file of its own: the page's policy allows no inline script.
"use strict";

// The path of the server's public URL, with a slash at its end.
const BASE = new URL("..", document.currentScript.src).pathname;

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// The document may name the address that clients use; the page may ask only the server it is from.
function askOurServer(request) {
  const { pathname, search } = new URL(request.url, location.href);
  request.url = location.origin + pathname + search;
  return request;
}

// Operations with all words of a search in their group, path, name, summary or description.
function findOperations(groups, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const isMatch = (entry, group) => {
    const parts = ["operationId", "summary", "description"].map((name) => entry.getIn(["operation", name], ""));
    const text = [group, entry.get("method"), entry.get("path"), ...parts].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return groups
    .map((group, name) => group.update("operations", (entries) => entries.filter((entry) => isMatch(entry, name))))
    .filter((group) => group.get("operations").size > 0);
}

// Swagger UI's own search finds only groups and paths, and takes no match for an empty document.
const Search = ({ React: { createElement: h } }) => ({
  fn: { opsFilter: findOperations },
  components: {
    FilterContainer: ({ layoutActions, layoutSelectors }) => {
      const search = layoutSelectors.currentFilter();
      return h("form", { className: "search wrapper", role: "search", onSubmit: (event) => event.preventDefault() },
        h("label", {}, "Find an operation", h("input", {
          type: "search", placeholder: "path or word", value: search === true ? "" : search,
          onChange: (event) => layoutActions.updateFilter(event.target.value),
        })));
    },
  },
  wrapComponents: {
    operations: (Operations) => (props) => {
      const { size } = props.specSelectors.taggedOperations();
      return [
        h("p", { className: "wrapper", key: "said", role: "status" },
          size ? "" : "No match: no operation has all these words in its path, summary or description."),
        size ? h(Operations, { ...props, key: "operations" }) : null,
      ];
    },
  },
});

window.ui = SwaggerUIBundle({
  url: `${BASE}openapi.json`,
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  plugins: [Search],
  requestInterceptor: askOurServer,
  tryItOutEnabled: true,
  validatorUrl: null,
});
