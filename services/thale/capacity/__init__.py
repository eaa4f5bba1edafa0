"""How many replicas and nodes a load takes, at what cost, and what a day of traffic does to them.

`measured` is what one machine was seen to do (loadtests/knee.py), `fleet` is what each environment may run
(kubernetes/overlays, terraform/environments), `plan` puts the two together, and `day` plays a day of traffic with the
autoscalers of the manifests.
"""
