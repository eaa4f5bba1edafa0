import { useEffect, useState } from "react";
import { strings } from "../strings";

const THEMES = ["auto", "light", "dark"] as const;

/** Colour theme of this tab. The default is that of the system. */
export function ThemeSelect() {
  const [theme, setTheme] = useState<(typeof THEMES)[number]>("auto");
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  return (
    <select
      aria-label={strings.theme.label}
      value={theme}
      onChange={(event) => setTheme(event.target.value as (typeof THEMES)[number])}
    >
      {THEMES.map((name) => (
        <option key={name} value={name}>
          {strings.theme[name]}
        </option>
      ))}
    </select>
  );
}
