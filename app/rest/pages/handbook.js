// Finds sections of the handbook by their words. The pages work without it.

const SHOWN_MAX = 20;
const [search, found, said] = ["search", "found", "said"].map((id) => document.getElementById(id));
const wide = matchMedia("(min-width: 62rem)");
const unfold = () => { document.getElementById("pages").open = wide.matches; };
wide.addEventListener("change", unfold);
unfold();

let sections;
const readSections = () => (sections ??= fetch(new URL("../handbook/search.json", import.meta.url)).then((response) => response.json()));

function entry({ page, heading, address }) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = heading ? `${page}: ${heading}` : page;
  const item = document.createElement("li");
  item.append(link);
  return item;
}

async function find() {
  const all = await readSections();
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (text) => words.every((word) => text.toLowerCase().includes(word));
  const isNamed = ({ page, heading }) => has(`${page} ${heading}`);
  // "limited" is found in "rate-limited", but "port" not in "support".
  const begins = (text, word) => [" ", "-", "_", "."].some((before) => ` ${text}`.includes(before + word));
  const isInText = (section) => !isNamed(section) && words.every((word) => begins(section.words, word));
  // Sections whose heading has the words come first.
  const matches = words.length ? [...all.filter(isNamed), ...all.filter(isInText)] : [];
  const more = matches.length > SHOWN_MAX ? `, the first ${SHOWN_MAX} are shown` : "";
  said.textContent = words.length ? (matches.length ? `${matches.length} found${more}` : "No match: no section has all these words.") : "";
  found.replaceChildren(...matches.slice(0, SHOWN_MAX).map(entry));
}

search.addEventListener("focus", readSections);
search.addEventListener("input", find);
search.form.addEventListener("submit", (event) => {
  event.preventDefault();
  found.querySelector("a")?.click();
});
// A result on this page only scrolls.
found.addEventListener("click", () => { search.value = ""; find(); });
