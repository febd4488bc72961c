// Finds headings of the handbook. The pages work without it.

const SHOWN_MAX = 20;
const [search, found, said] = ["search", "found", "said"].map((id) => document.getElementById(id));
const wide = matchMedia("(min-width: 62rem)");
const unfold = () => { document.getElementById("pages").open = wide.matches; };
wide.addEventListener("change", unfold);
unfold();

let headings;
const readHeadings = () => (headings ??= fetch(new URL("../handbook/search.json", import.meta.url)).then((response) => response.json()));

function entry({ page, heading, address }) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = heading ? `${page}: ${heading}` : page;
  const item = document.createElement("li");
  item.append(link);
  return item;
}

async function find() {
  const all = await readHeadings();
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const isMatch = ({ page, heading }) => words.every((word) => `${page} ${heading}`.toLowerCase().includes(word));
  const matches = words.length ? all.filter(isMatch) : [];
  const more = matches.length > SHOWN_MAX ? `, the first ${SHOWN_MAX} are shown` : "";
  said.textContent = words.length ? (matches.length ? `${matches.length} found${more}` : "No match: no heading has all these words.") : "";
  found.replaceChildren(...matches.slice(0, SHOWN_MAX).map(entry));
}

search.addEventListener("focus", readHeadings);
search.addEventListener("input", find);
search.form.addEventListener("submit", (event) => {
  event.preventDefault();
  found.querySelector("a")?.click();
});
// A result on this page only scrolls.
found.addEventListener("click", () => { search.value = ""; find(); });
