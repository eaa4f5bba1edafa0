/** Names for the generated types of the API. */
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Phenotype = Schemas["Phenotype"];
export type Plant = Schemas["Plant"];
export type Organ = Schemas["Organ"];
export type Root = Schemas["Root"];
export type Flag = Schemas["Flag"];
export type TraitValue = Schemas["TraitValue"];
export type Quality = TraitValue["quality"];
export type ModelInfo = Schemas["ModelInfo"];
export type Rollouts = Schemas["Rollouts"];
export type ReleaseStatus = Schemas["ReleaseStatus"];
export type ReleaseEvent = Schemas["ReleaseEvent"];
export type Verdict = Schemas["Verdict"];
export type VersionCounts = Schemas["VersionCounts"];
export type SignInMethods = Schemas["SignInMethods"];
export type EntraSignIn = Schemas["EntraSignIn"];
export type Problem = Schemas["Problem"];
export type TraitsRequest = Schemas["TraitsRequest"];
export type Experiment = Schemas["Experiment"];
export type ExperimentPage = Schemas["ExperimentPage"];
export type ExperimentImage = Schemas["ExperimentImage"];
export type ExperimentImagePage = Schemas["ExperimentImagePage"];
export type AddedImage = Schemas["AddedImage"];
export type DesignTable = Schemas["DesignTable"];
export type XY = [number, number];
