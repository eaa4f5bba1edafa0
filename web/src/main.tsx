import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { ApiClient } from "./api/client";
import "./styles.css";

const container = document.getElementById("root");
if (container === null) throw new Error("index.html has no element #root");
createRoot(container).render(
  <StrictMode>
    <App client={new ApiClient()} />
  </StrictMode>,
);
