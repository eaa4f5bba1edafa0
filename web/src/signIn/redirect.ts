/** The page to which Entra ID redirects the sign-in window: it passes the response on to the page, and closes. */
import { broadcastResponseToMainFrame } from "@azure/msal-browser/redirect-bridge";
import { strings } from "../strings";

function show(text: string): void {
  const message = document.getElementById("message");
  if (message !== null) message.textContent = text;
}

broadcastResponseToMainFrame().then(
  () => show(strings.signIn.closeWindow),
  () => show(strings.signIn.noResponse),
);
